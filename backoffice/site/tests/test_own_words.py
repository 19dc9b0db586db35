"""Sentences of our own in rows are read in the reader's language; what people wrote stays."""

import pytest
from django.utils.translation import gettext, override

from backoffice.site.own_words import own_words


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("交易账单有这笔，资金账单没有", "交易账单有这笔，资金账单没有"),
        ("应结算 %(due)s 元，资金账单变动 %(moved)s 元", "应结算 12.00 元，资金账单变动 0.12 元"),
        ("账单原文已损坏", "RFD2026: 账单原文已损坏"),
    ],
)
def test_a_sentence_of_ours_is_read_in_english(kept, shown):
    values = {"due": "12.00", "moved": "0.12"}
    with override("en"):
        english = gettext(kept) % values
        told = own_words(shown)
    assert english != kept, "the catalog has it"
    assert told.endswith(english)
    assert own_words(shown) == shown, "in Chinese as it is kept"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "王医生停诊",
        "应结算 元",
        "%(due)s",
        "应结算 1 元，资金账单变动 2 元。后来补上了",
    ],
)
def test_what_a_person_wrote_stays(written):
    with override("en"):
        assert own_words(written) == written
