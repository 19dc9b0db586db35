"""What a change of a price does to the periods of its service, before anything is written.

The same plan is previewed and carried out, so that what was shown is what is done.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal

from django.utils.translation import gettext_lazy as _

from config.models import PriceConfig
from config.prices.periods import PricePeriodRefused, charged_on, period_for, running_period
from tcmpay.common import clock
from tcmpay.common.errors import InvalidInput
from tcmpay.common.money import Money, format_money, parse_money
from tcmpay.common.order_types import SERVICE_TYPE_CODES, OrderType

SERVICE_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
TENTH = Decimal("0.1")


class Unset(Enum):
    """The value of an argument that was not given, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Maybe = Literal[Unset.UNSET]


@dataclass(frozen=True, slots=True)
class PriceChange:
    """What is to be true of a price.

    Without ``effective_date``, or with that of a period that has not ended, that period is
    changed and keeps whatever was not given. A later ``effective_date`` begins a new period: the
    one before ends the day before, and the new one has its own discount and expiry (none unless
    given; the day before the next period where there is one). A service that is not known yet
    needs a ``service_name``; ``order_type`` says which orders it prices, "other" unless it is
    named after one, and never changes. None clears a discount or an expiry date.
    """

    service_type: str
    price: Money
    service_name: str | None = None
    discount_price: Money | Maybe | None = UNSET
    is_active: bool | None = None
    effective_date: date | None = None
    expiry_date: date | Maybe | None = UNSET
    description: str | None = None
    order_type: str | None = None


@dataclass(frozen=True, slots=True)
class Slip:
    """How far what is charged would move, where there was something to compare with.

    ``is_since_earlier``: ``before`` is not what would be charged without this change, but what
    would have been before other changes of the last days. ``is_undercut``: the service is new, and
    ``before`` is the least that another service of its order type costs.
    """

    before: Money
    after: Money
    percent: Decimal
    is_since_earlier: bool = False
    is_undercut: bool = False

    @property
    def signed(self) -> str:
        return signed_percent(self.before, self.after, self.percent)


def signed_percent(before: Money, after: Money, percent: Decimal) -> str:
    """``percent``, with the direction in which what is charged moves."""
    sign = "+" if after > before else "−" if after < before else ""
    return f"{sign}{percent}"


@dataclass(slots=True)
class PricePlan:
    """``row`` as it will be; ``before`` its changed fields as they were (new: none).

    ``ended`` is the period that ends the day before, with its former last day.
    """

    row: PriceConfig
    is_new: bool
    before: dict[str, Any] = field(default_factory=dict)
    ended: PriceConfig | None = None
    ended_before: date | None = None
    slip: Slip | None = None

    @property
    def changes_nothing(self) -> bool:
        return not self.is_new and not self.before


def named_order_type(service_type: str) -> str:
    """The order type that a service is named after, alone or before an underline; or empty."""
    for order_type in SERVICE_TYPE_CODES:
        if service_type == order_type or service_type.startswith(f"{order_type}_"):
            return order_type
    return ""


def amount_of(period: PriceConfig) -> Money:
    """What is charged: the discount price where set."""
    return period.price if period.discount_price is None else period.discount_price


def price_plan(
    periods: Sequence[PriceConfig],
    change: PriceChange,
    today: date,
    measured: Sequence[PriceConfig],
    others: Sequence[PriceConfig] = (),
) -> PricePlan:
    """Plan ``change`` on all ``periods`` of its service; they are changed in memory only.

    ``measured`` are those that it is measured against, ``others`` those of the other services,
    against which a new service is: see price_guard.
    Raises InvalidInput.
    """
    _ensure_order_type_stays(periods, change)
    begin = change.effective_date
    target = running_period(periods, today) if begin is None else None
    for period in periods:
        if begin is not None and period.effective_date == begin:
            target = period
    compared = _compared(measured, begin, today)
    is_since_earlier = compared != _compared(periods, begin, today)
    if target is not None:
        plan = _change(target, change, periods=periods, today=today)
    else:
        plan = _begin(change, begin or today, periods=periods, today=today)
    if compared is not None and _moves_the_price(plan):
        plan.slip = _slip(*compared, plan.row, is_since_earlier=is_since_earlier)
    if not periods:
        plan.slip = _undercut(plan.row, others, max(plan.row.effective_date, today))
    return plan


def _ensure_order_type_stays(periods: Sequence[PriceConfig], change: PriceChange) -> None:
    if change.order_type is None or not periods:
        return
    if change.order_type != priced_order_type(periods[-1]):
        text = _("服务的订单类型不能更改：请停用它，另建一个服务类型")
        raise InvalidInput({"order_type": [text]})


def priced_order_type(period: PriceConfig) -> str:
    """Which orders a price is for; empty: any (written by SQL, under a name that tells nothing)."""
    return period.order_type or named_order_type(period.service_type)


def _undercut(row: PriceConfig, others: Sequence[PriceConfig], day: date) -> Slip | None:
    """How far a new service lies below the cheapest one that its orders could name instead.

    Without this whoever may add prices could let appointments be paid at 0.01 under another name.
    """
    services: dict[str, list[PriceConfig]] = {}
    for other in others:
        if priced_order_type(other) in ("", row.order_type):
            services.setdefault(other.service_type, []).append(other)
    charged = [one for one in (charged_on(each, day) for each in services.values()) if one]
    cheapest = min(map(amount_of, charged), default=None)
    after = amount_of(row)
    if cheapest is None or after >= cheapest:
        return None
    return Slip(before=cheapest, after=after, percent=_percent(cheapest, after), is_undercut=True)


def _moves_the_price(plan: PricePlan) -> bool:
    """Whether it must be measured: also a price that is switched off, or it could be changed
    while it is and switched on again."""
    is_switched_on = "is_active" in plan.before and plan.row.is_active
    return plan.is_new or is_switched_on or bool(plan.before.keys() & {"price", "discount_price"})


def _compared(
    periods: Sequence[PriceConfig], begin: date | None, today: date
) -> tuple[Money, Money] | None:
    """List price and charged amount that the new price takes the place of: where none is charged
    on its first day, those of the newest period before it, switched off or not."""
    day = max(begin or today, today)
    replaced = charged_on(periods, day)
    if replaced is None:
        earlier = [one for one in periods if one.effective_date <= day]
        replaced = max(earlier or periods, key=lambda one: one.effective_date, default=None)
    return None if replaced is None else (replaced.price, amount_of(replaced))


def _slip(price: Money, amount: Money, row: PriceConfig, *, is_since_earlier: bool) -> Slip:
    after = amount_of(row)
    percent = max(_percent(amount, after), _percent(price, row.price))
    return Slip(before=amount, after=after, percent=percent, is_since_earlier=is_since_earlier)


def _percent(before: Money, after: Money) -> Decimal:
    return (abs(after - before) * 100 / before).quantize(TENTH)


def _change(
    row: PriceConfig, change: PriceChange, *, periods: Sequence[PriceConfig], today: date
) -> PricePlan:
    if row.expiry_date is not None and row.expiry_date < today:
        raise InvalidInput({"effective_date": [_("该价格已结束，不能再修改")]})
    given: dict[str, Any] = {
        "price": change.price,
        "service_name": change.service_name,
        "is_active": change.is_active,
        "description": change.description,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if change.discount_price is not UNSET:
        wanted["discount_price"] = change.discount_price
    if change.expiry_date is not UNSET and change.expiry_date != row.expiry_date:
        others = [other for other in periods if other is not row]
        wanted["expiry_date"] = _period(others, row.effective_date, change.expiry_date, today)[1]
    before = {
        name: getattr(row, name) for name, value in wanted.items() if value != getattr(row, name)
    }
    for name in before:
        setattr(row, name, wanted[name])
    _ensure_discount(row)
    return PricePlan(row=row, is_new=False, before=before)


def _begin(
    change: PriceChange, begin: date, *, periods: Sequence[PriceConfig], today: date
) -> PricePlan:
    if not periods and not SERVICE_TYPE.fullmatch(change.service_type):
        raise InvalidInput({"service_type": [_("服务类型应为小写字母、数字和下划线，最多 64 个")]})
    earlier = [period for period in periods if period.effective_date < begin]
    model = max(earlier or periods, key=lambda period: period.effective_date, default=None)
    name = change.service_name or (model.service_name if model else None)
    if name is None:
        raise InvalidInput({"service_name": [_("新的服务类型必须填写服务名称")]})
    wanted_end = None if change.expiry_date is UNSET else change.expiry_date
    ended, end = _period(
        periods, begin, wanted_end, today, is_end_given=change.expiry_date is not UNSET
    )
    row = PriceConfig(
        service_type=change.service_type,
        service_name=name,
        order_type=model.order_type if model else _new_order_type(change),
        price=change.price,
        discount_price=None if change.discount_price is UNSET else change.discount_price,
        is_active=True if change.is_active is None else change.is_active,
        effective_date=begin,
        expiry_date=end,
        description=_first_given(change.description, model.description if model else "", ""),
        created_at=clock.now(),
    )
    row.updated_at = row.created_at
    _ensure_discount(row)
    plan = PricePlan(row=row, is_new=True, ended=ended)
    if ended is not None:
        plan.ended_before = ended.expiry_date
        ended.expiry_date = begin - timedelta(days=1)
    return plan


def _new_order_type(change: PriceChange) -> str:
    """A service that is named after an order type prices that one, or the name would lie."""
    named = named_order_type(change.service_type)
    if named and change.order_type not in (None, named):
        raise InvalidInput(
            {"order_type": [_("服务类型以 %(type)s 开头，只能属于这个订单类型") % {"type": named}]}
        )
    return named or change.order_type or OrderType.OTHER


def _period(
    others: Sequence[PriceConfig],
    begin: date,
    end: date | None,
    today: date,
    *,
    is_end_given: bool = True,
) -> tuple[PriceConfig | None, date | None]:
    try:
        return period_for(others, begin=begin, end=end, today=today, is_end_given=is_end_given)
    except PricePeriodRefused as error:
        raise InvalidInput({error.field: [error.text]}) from error


def _ensure_discount(row: PriceConfig) -> None:
    if row.discount_price is not None and row.discount_price > row.price:
        raise InvalidInput({"discount_price": [_("优惠价不能高于价格")]})


def _first_given(*texts: str | None) -> str:
    return next(text for text in texts if text is not None)


# --- a change as JSON ---------------------------------------------------------------------------
def change_to_json(change: PriceChange) -> dict[str, Any]:
    """What was given, as text; what was not given is left out."""
    given: dict[str, Any] = {
        "price": format_money(change.price),
        "service_name": change.service_name,
        "is_active": change.is_active,
        "effective_date": _day_text(change.effective_date),
        "description": change.description,
        "order_type": change.order_type,
    }
    wanted = {name: value for name, value in given.items() if value is not None}
    if change.discount_price is not UNSET:
        discount = change.discount_price
        wanted["discount_price"] = None if discount is None else format_money(discount)
    if change.expiry_date is not UNSET:
        wanted["expiry_date"] = _day_text(change.expiry_date)
    return wanted


def change_from_json(service_type: str, wanted: Mapping[str, Any]) -> PriceChange:
    """What change_to_json wrote."""
    discount = wanted.get("discount_price", UNSET)
    return PriceChange(
        service_type=service_type,
        price=parse_money(wanted["price"]),
        service_name=wanted.get("service_name"),
        discount_price=parse_money(discount) if isinstance(discount, str) else discount,
        is_active=wanted.get("is_active"),
        effective_date=_day(wanted.get("effective_date")),
        expiry_date=_day(wanted["expiry_date"]) if "expiry_date" in wanted else UNSET,
        description=wanted.get("description"),
        order_type=wanted.get("order_type"),
    )


def _day_text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
