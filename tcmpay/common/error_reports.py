"""Django's page for an exception, which only development shows: also there without secrets."""

from typing import Any

from django.views.debug import SafeExceptionReporterFilter

from tcmpay.common.redaction import STARS, is_secret_name, redacted, redacted_text


class RedactingReporterFilter(SafeExceptionReporterFilter):
    """Local variables, settings, headers and the posted form, each looked through."""

    def is_active(self, request: Any) -> bool:
        return True

    def cleanse_setting(self, key: Any, value: Any) -> Any:
        cleansed = super().cleanse_setting(key, value)
        return redacted(cleansed) if isinstance(cleansed, str | dict | list | tuple) else cleansed

    def get_post_parameters(self, request: Any) -> dict[str, Any]:
        if request is None:
            return {}
        return {name: self._shown(name, value) for name, value in request.POST.items()}

    def get_traceback_frame_variables(self, request: Any, tb_frame: Any) -> Any:
        variables = super().get_traceback_frame_variables(request, tb_frame)
        return [(name, self._shown(name, value)) for name, value in variables]

    @staticmethod
    def _shown(name: Any, value: Any) -> Any:
        if is_secret_name(name):
            return STARS
        try:
            return redacted_text(value if isinstance(value, str) else repr(value))
        except Exception:  # a repr of anything may raise anything
            return "…"
