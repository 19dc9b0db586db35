from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "tcmpay.accounts"
    label = "accounts"
    verbose_name = _("人员")

    def ready(self) -> None:
        # Registers itself with the API description by being imported.
        from tcmpay.accounts import rights, schema  # noqa: F401
        from tcmpay.accounts.middleware import connect

        connect()
        rights.connect()
