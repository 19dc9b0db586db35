from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from payments.day_figures import CREATED, PAID
from payments.services.day_figures import figures_forget, keep
from refunds.day_figures import REFUNDED


class Command(BaseCommand):
    help = (
        "重新合计统计数字（用 SQL 补录了以前的数据之后）。"
        "Count the statistics' kept figures anew, after rows of the past were written by SQL."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        for source in (CREATED, PAID, REFUNDED):
            figures_forget(source.kind)
            keep(source)
        self.stdout.write(_("已重新合计"))
