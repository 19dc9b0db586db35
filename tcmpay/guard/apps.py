from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class GuardConfig(AppConfig):
    name = "tcmpay.guard"
    verbose_name = _("请求防护")

    def ready(self) -> None:
        from tcmpay.guard import (
            request_log,
            system_checks,  # noqa: F401  (registers itself)
        )

        request_log.connect()
