"""Facts of cases that a collation takes for one are several: gateways' numbers have letters of both
cases, and may end in a space."""

import pytest

from payments.models import PaymentException
from payments.services.exceptions import exception_open, exception_settle
from payments.states import ExceptionKind
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

pytestmark = pytest.mark.django_db
FACTS = ("abc01", "ABC01", "abc01 ", "ábc01")


@pytest.mark.parametrize("kind", [ExceptionKind.MISMATCH, ExceptionKind.GATEWAY_SILENT])
def test_each_is_its_own_case(kind):
    @money_unit
    def opened():
        return [exception_open(kind, method="wechat", fact=fact) for fact in FACTS]

    @money_unit
    def settled(fact):
        exception_settle((kind, fact), method="wechat", resolution="x", actor=SYSTEM)

    assert opened() == [True] * 4
    assert opened() == [False] * 4
    settled("abc01")
    still = PaymentException.objects.filter(closed_at=None)
    assert {case.subject for case in still} == set(FACTS[1:])
