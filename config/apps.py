from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ConfigConfig(AppConfig):
    name = "config"
    verbose_name = _("业务配置")

    def ready(self) -> None:
        from config.gateways import checks  # noqa: F401  (registers itself)
        from tcmpay.common.sealing import ensure_keys_usable

        # Web, worker and every command alike: a process that can't read or keep secrets must not
        # take payments until somebody notices.
        ensure_keys_usable()
