from decimal import Decimal

import pytest
from tcmpay_client import amount_text, yuan
from tcmpay_client.money import with_decimals, without_decimals


@pytest.mark.parametrize("text", ["0.01", "30.00", "99999999.99"])
def test_an_amount_comes_back_as_it_was_written(text):
    assert amount_text(yuan(text)) == text


@pytest.mark.parametrize("text", ["", "1", "1.0", "1.000", "-1.00", "1e2", "NaN", "１.00", " 1.00"])
def test_what_the_api_never_writes_is_no_amount(text):
    with pytest.raises(ValueError, match="not an amount"):
        yuan(text)


@pytest.mark.parametrize("amount", ["0.001", "NaN", "Infinity"])
def test_a_part_of_a_fen_is_not_sent(amount):
    with pytest.raises(ValueError, match="not an amount"):
        amount_text(Decimal(amount))


def test_a_float_is_not_sent():
    with pytest.raises(TypeError, match="never float"):
        without_decimals({"amount": 0.1})


def test_what_a_caller_keeps_with_an_order_is_left_alone():
    kept = {"amount": "1.00", "metadata": {"amount": "x", "share": 0.5}}
    assert with_decimals(kept, frozenset({"amount"})) == kept | {"amount": Decimal("1.00")}
    assert without_decimals(kept) == kept
