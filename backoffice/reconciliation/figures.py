"""The figures of a close or a report as pages show them: amounts as money, codes as names."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from backoffice.reconciliation.words import CellState, percent_text
from backoffice.site.display import EMPTY
from backoffice.site.words import method_text
from payments.selectors import service_names
from reconciliation.states import FundsLeg
from tcmpay.common.order_types import OrderType

AMOUNT = re.compile(r"-?[0-9]+\.[0-9]{2}")


def figures_shown(told: Mapping[str, Any]) -> dict[str, Any]:
    """``told`` (texts in yuan, by codes) with amounts to count with and names for people."""
    found: dict[str, Any] = amounts_read(told)
    types, services = dict(OrderType.choices), service_names()
    return {
        **found,
        "methods": [(method_text(code), sums) for code, sums in found["by_method"].items()],
        "types": [(types.get(code, code), sums) for code, sums in found["by_type"].items()],
        "services": [(services.get(code, code), one) for code, one in found["by_service"].items()],
        "merchants": [
            (f"{method_text(sums['method'])} {sums['merchant']}".strip(), sums)
            for sums in found["by_merchant"]
        ],
        "verified": _verified(told),
        "funds_text": FundsLeg(told["funds"]).label if told.get("funds") else "",
    }


def amounts_read(told: Any) -> Any:
    """Every text that is an amount of yuan, at any depth, as Decimal."""
    if isinstance(told, Mapping):
        return {name: amounts_read(value) for name, value in told.items()}
    if isinstance(told, list):
        return [amounts_read(value) for value in told]
    return Decimal(told) if isinstance(told, str) and AMOUNT.fullmatch(told) else told


def _verified(told: Mapping[str, Any]) -> str:
    """How much is proven. A mock's money, which has no merchant number, no bill can prove."""
    moved = [one for one in told["by_merchant"] if one["receipts_number"] or one["refunds_number"]]
    if moved and not any(one["merchant"] for one in moved):
        return str(CellState.MOCK.label)
    share = told.get("verified_share")
    return percent_text(Decimal(share), Decimal(1)) if share else EMPTY
