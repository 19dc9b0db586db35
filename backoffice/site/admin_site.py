"""The staff's admin: Unfold's, with the pages of one table (backoffice/admin.py) and no others.

A site of our own and not Django's: libraries enter pages in that one as they are imported.
"""

from typing import Any

from django.apps import apps
from django.urls import URLPattern, URLResolver
from unfold.sites import UnfoldAdminSite


class StaffSite(UnfoldAdminSite):
    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Without the detour to objects' public pages, of which there are none.

        Its pattern has two open ends, so that a stranger's long address takes time squared.
        """
        return [one for one in super().get_urls() if getattr(one, "name", "") != "view_on_site"]

    def page_admin(self, page: str) -> Any:
        """What shows a list such as ``payments_paymentorder``."""
        label, _separator, model = page.partition("_")
        return self.get_model_admin(apps.get_model(label, model))


staff_site = StaffSite()
