from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class BackofficeConfig(AppConfig):
    name = "backoffice"
    verbose_name = _("后台")

    def ready(self) -> None:
        # Models are not loaded when this file is.
        import backoffice.ops.doctor.deploy_check  # noqa: F401
        from backoffice.admin import pages_register

        pages_register()
        post_migrate.connect(complete_database, dispatch_uid="backoffice.database")


def complete_database(sender: Any, using: str = "default", **kwargs: Any) -> None:
    """After the last app's permissions exist, hand out what the table of roles says, and mark the
    tables of authority that were never marked; tell since when rows have digests.

    The signal comes once per app with models, in the order of INSTALLED_APPS; Django's own
    handler, connected before this one, has created the sender's permissions by then.
    """
    last = [config for config in apps.get_app_configs() if config.models_module][-1]
    if sender.label != last.label or using != "default":
        return
    # Models are not loaded when this file is.
    from tcmpay.accounts.roles import roles_apply
    from tcmpay.audit.marks import marks_begin
    from tcmpay.audit.upgrade import digests_begin

    # First: what is written marks itself, in a table that must have its mark by then.
    marks_begin()
    roles_apply()
    digests_begin()
