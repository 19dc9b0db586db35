from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class LimitsConfig(AppConfig):
    name = "tcmpay.limits"
    label = "guard"  # its tables were made under this name
    verbose_name = _("请求防护")

    def ready(self) -> None:
        from tcmpay.limits import (
            checks,  # noqa: F401  (registers itself)
            request_log,
        )

        request_log.connect()
