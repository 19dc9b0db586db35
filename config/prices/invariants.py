"""What must always be true of prices, for ``audit_money``.

C1 the periods of one service's price never overlap
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext_lazy as _

from config.models import PriceConfig
from config.prices.periods import overlaps
from config.prices.services import AUDIT_OBJECT
from tcmpay.audit.marks import rows_adopted
from tcmpay.audit.models import AuditEvent
from tcmpay.common.api.presenters import present
from tcmpay.common.invariants import Violation


def invariants(*, using: str = "default") -> Iterator[Violation]:
    """Everything that is wrong, read through the database alias ``using``."""
    yield from _price_overlaps(using)
    yield from _prices_told(using)


def _price_overlaps(using: str) -> Iterator[Violation]:
    by_service: dict[str, list[PriceConfig]] = defaultdict(list)
    for price in PriceConfig.objects.using(using).filter(is_active=True):
        by_service[price.service_type].append(price)
    for service_type, periods in by_service.items():
        for _earlier, later in overlaps(periods):
            yield Violation(
                "C1",
                "price",
                str(later.id),
                _("%(service)s 自 %(day)s 起的价格与之前的价格时间重叠")
                % {"service": service_type, "day": later.effective_date},
            )


def _prices_told(using: str) -> Iterator[Violation]:
    """What a price is, is what its trail told last, whatever the mark says; SQL is allowed, and
    waits for somebody to take it over."""
    adopted = rows_adopted(PriceConfig, using)
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    events = AuditEvent.objects.using(using).filter(object_type=AUDIT_OBJECT)
    for key, details, moment in events.order_by("object_id", "version").values_list(
        "object_id", "details", "created_at"
    ):
        if key not in adopted or moment > adopted[key]:
            told[key] |= details.get("after", {})
    for row in PriceConfig.objects.using(using).filter(pk__in=list(told)).order_by("pk"):
        said = told[str(row.pk)]
        if odd := sorted(name for name in said if present(getattr(row, name)) != said[name]):
            text = _("与审计记录最后所述不同：%(names)s") % {"names": ", ".join(odd)}
            yield Violation("E9", "price_configs", str(row.pk), text, is_unfinished=True)
