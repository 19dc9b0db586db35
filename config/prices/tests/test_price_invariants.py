from datetime import date

import pytest

from config.models import PriceConfig
from config.prices.invariants import invariants

pytestmark = pytest.mark.django_db


def codes() -> list[tuple[str, str]]:
    return [(found.code, found.object_id) for found in invariants()]


def test_overlapping_prices_are_found():
    row = PriceConfig.objects.create(
        service_type="consultation",
        service_name="x",
        price=9,
        effective_date=date(2026, 1, 1),
        expiry_date=date(2026, 12, 31),
    )
    assert codes() == [("C1", str(row.id))]
    PriceConfig.objects.filter(effective_date=date(2024, 1, 1)).update(
        expiry_date=date(2025, 12, 31)
    )
    assert codes() == []
