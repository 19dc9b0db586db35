"""How long something has waited, as every list says it."""

from datetime import UTC, datetime, timedelta

import pytest

from backoffice.site.display import age_text
from tcmpay.common import clock

NOW = datetime(2026, 11, 30, 4, tzinfo=UTC)


@pytest.mark.parametrize(
    ("waited", "text"),
    [
        (timedelta(minutes=-3), "0 分钟"),  # by another machine's clock
        (timedelta(seconds=59), "0 分钟"),
        (timedelta(minutes=59, seconds=59), "59 分钟"),
        (timedelta(hours=1), "1 小时"),
        (timedelta(hours=47, minutes=59), "47 小时"),
        (timedelta(hours=48), "2 天"),
        (timedelta(days=30), "30 天"),
        (timedelta(days=400), "400 天"),
    ],
)
def test_an_age_is_said_in_the_largest_unit_that_says_something(waited, text):
    with clock.frozen(NOW):
        assert age_text(NOW - waited) == text
