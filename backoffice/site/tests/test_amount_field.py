"""Amounts that staff type: as the API takes them, or as pages print them."""

import pytest
from django.core.exceptions import ValidationError

from backoffice.site.forms import AmountFormField
from tcmpay.common.money import MoneyError, format_money, parse_money


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1,000", "1000.00"),
        (" 1,234.56 ", "1234.56"),
        ("12,345,678.9", "12345678.90"),
        ("1234.56", "1234.56"),
        ("30", "30.00"),
    ],
)
def test_an_amount_is_taken_as_pages_print_it(text, amount):
    assert format_money(AmountFormField().clean(text)) == amount


@pytest.mark.parametrize(
    "text",
    [
        "1,00",
        "1,0000",
        ",100",
        "1000,000",
        "1,000,",
        "1,000.",
        "1.000,00",
        "0,123",
        "１,０００",
        "1，000",
        "-1,000",
        "1,000.001",
        "123,456,789.00",
        "1,000\n1",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValidationError):
        AmountFormField().clean(text)


def test_the_api_takes_no_separators():
    with pytest.raises(MoneyError):
        parse_money("1,000")
