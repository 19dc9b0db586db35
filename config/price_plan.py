"""What a change of a price does to the periods of its service, before anything is written.

The same plan is previewed and carried out, so that what was shown is what is done.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal, Self

from config.models import PriceConfig
from config.price_periods import (
    PricePeriodRefused,
    SERVICE_TYPE,
    covers,
    period_for,
    running_period,
)
from django.utils.translation import gettext_lazy as _
from tcmpay.common.errors import InvalidInput
from tcmpay.common.money import Money
