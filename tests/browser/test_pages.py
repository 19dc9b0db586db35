"""Every list of the admin opens in a browser, and keeps its content security policy."""

import pytest
from django.urls import reverse

PAGES = (
    "index",
    "payments_paymentorder_changelist",
    "payments_paymenttransaction_changelist",
    "payments_paymentexception_changelist",
    "payments_paymentcallback_changelist",
    "refunds_refund_changelist",
    "balances_userbalance_changelist",
    "balances_balancetransaction_changelist",
    "config_priceconfig_changelist",
    "config_paymentconfig_changelist",
    "accounts_staffuser_changelist",
    "accounts_staffuser_add",
    "auth_group_changelist",
    "audit_auditevent_changelist",
    "audit_auditevent_verify",
    "accounts_signin_changelist",
)


@pytest.mark.parametrize("width", ["desktop", "phone"])
def test_every_list_opens(desk, staff, width):
    page = desk.open(as_=staff("administrator"), width=width)
    for name in PAGES:
        answer = page.goto(desk.origin + reverse(f"admin:{name}"))
        assert answer is not None
        assert answer.status == 200, name
        assert page.evaluate("document.documentElement.lang") == "zh-hans"
