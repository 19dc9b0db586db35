"""Keys replaced between every two steps of a payment's and a refund's life: nothing is lost by it.

Whichever side replaces its key, the gateway takes no former one from that moment on.
"""

import time
from typing import Any

import pytest

from payments.models import PaymentCallback, PaymentTransaction
from refunds.models import Refund

# Whose keys are replaced, by channel.
REPLACED = {
    "wechat": {
        "the merchant's": ["wechat_merchant"],
        "the gateway's": ["wechat_public"],
        "the APIv3 key": ["wechat_apiv3"],
        "all": ["wechat_merchant", "wechat_public", "wechat_apiv3"],
    },
    "alipay": {
        "the merchant's": ["alipay_app"],
        "the gateway's": ["alipay"],
        "all": ["alipay_app", "alipay"],
    },
}
KINDS = [(method, whose) for method, kinds in REPLACED.items() for whose in kinds]
MOMENTS = ("started again", "paid", "told", "refund sent", "refund told")


class Life:
    """One payment from its beginning to its refund; ``replace_before`` are some of MOMENTS."""

    def __init__(self, shop: Any, method: str, whose: str, *replace_before: str) -> None:
        self.shop, self.method = shop, method
        self.names, self.replace_before = REPLACED[method][whose], replace_before

    def now(self, moment: str) -> None:
        if moment in self.replace_before:
            self.shop.replace(*self.names)

    def live(self, *, by_notice: bool) -> None:
        shop, method = self.shop, self.method
        self.order = shop.order()
        shop.start(self.order, method)
        self.now("started again")
        shop.start(self.order, method)
        self.now("paid")
        # The payer's page is shown anew: an address that a former key signed is dead by now.
        shop.payer_pays(self.order, method, shop.start(self.order, method))
        self.hear(by_notice, "told", lambda: shop.ask_about(self.order))
        assert shop.story.status(self.order, shop.patient) == "paid"
        refund = shop.refund(self.order)
        self.now("refund sent")
        shop.send_refunds()
        self.hear(by_notice, "refund told", shop.send_refunds)
        wait_until(lambda: self.settled(refund))
        assert shop.story.status(self.order, shop.patient) == "partial_refunded"
        assert shop.theirs(self.order, method)["refunded_fen"] == 1200

    def hear(self, by_notice: bool, moment: str, ask: Any) -> None:
        if not by_notice:
            self.now(moment)
            ask()
            return
        notice = self.shop.notice(self.method)  # on its way already, signed with what ran then
        self.now(moment)
        answer = self.shop.deliver(self.method, notice)
        assert answer.status_code == 200, answer.content
        self.shop.take_notices()

    def settled(self, refund: Any) -> bool:
        if Refund.objects.get(id=refund["id"]).status == "success":
            return True
        self.shop.send_refunds()
        return False


def wait_until(is_so: Any) -> None:
    for _try in range(600):
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError("it never came")


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("method", REPLACED)
def test_a_payment_and_its_refund_end_well(shop, method, moment):
    life = Life(shop, method, "all", moment)
    life.live(by_notice=True)
    assert PaymentTransaction.objects.filter(order_id=life.order["id"]).count() == 2
    assert not PaymentCallback.objects.filter(verdict="untrusted").exists()


@pytest.mark.parametrize(("method", "whose"), KINDS)
def test_they_end_well_where_it_happens_between_every_two_steps(shop, method, whose):
    Life(shop, method, whose, *MOMENTS).live(by_notice=True)


@pytest.mark.parametrize("method", REPLACED)
def test_and_where_every_notice_is_lost(shop, method):
    Life(shop, method, "all", *MOMENTS).live(by_notice=False)


@pytest.mark.parametrize("whose", ["the merchant's", "all"])
@pytest.mark.parametrize("method", REPLACED)
def test_what_was_begun_before_can_be_closed(shop, method, whose):
    order = shop.order()
    start = shop.start(order, method)
    if start["payment_url"]:
        assert shop.stand_in.control("open", url=start["payment_url"])["status_code"] == 200
    shop.replace(*REPLACED[method][whose])
    shop.story.cancel(order, shop.patient)
    assert shop.theirs(order, method)["state"] == "CLOSED"


@pytest.mark.parametrize("scene", ["page", "wap", "app"])
def test_an_alipay_page_is_signed_with_the_running_key(shop, scene):
    """Its request is kept as data and signed when it is shown: the former signature is dead."""
    order = shop.order()
    former = shop.start(order, "alipay", scene=scene)
    shop.replace("alipay_app")
    running = shop.start(order, "alipay", scene=scene)
    shown = [
        start["payment_url"] or start["prepay_data"]["order_string"] for start in (former, running)
    ]
    assert shop.stand_in.control("open", url=shown[0])["status_code"] != 200
    assert shop.stand_in.control("open", url=shown[1])["status_code"] == 200
    assert PaymentTransaction.objects.filter(order_id=order["id"]).count() == 1
