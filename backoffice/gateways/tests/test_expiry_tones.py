"""A certificate that ends today still holds; one that ended does not."""

import pytest

from backoffice.gateways.facts import _expiry_tone
from backoffice.site.display import BAD, GOOD, WAITING
from gateways.findings import EXPIRY_WARNING_DAYS


@pytest.mark.parametrize(
    ("days", "tone"),
    [
        (-1, BAD),
        (0, WAITING),
        (EXPIRY_WARNING_DAYS - 1, WAITING),
        (EXPIRY_WARNING_DAYS, GOOD),
    ],
)
def test_the_tone_of_an_expiry(days, tone):
    assert _expiry_tone(days) == tone
