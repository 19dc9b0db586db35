"""A stand-in gateway whose keys are replaced while money is under way; all in one process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.cache import cache
from django.core.management import call_command
from django.test import Client

django.setup()
pytest.register_assert_rewrite("tests.api.kit", "tests.api.story")

from config.gateways.versions import _opened  # noqa: E402
from payments.models import PaymentTransaction  # noqa: E402
from payments.services.attempts import attempt_check  # noqa: E402
from refunds.models import Refund  # noqa: E402
from refunds.services import notices, submission  # noqa: E402
from simulator.tests.clients import Listener  # noqa: E402
from simulator.tests.running import StandIn, running  # noqa: E402
from tcmpay.common import clock  # noqa: E402
from tcmpay.common.actor import Role  # noqa: E402
from tests.api.kit import Api, someone  # noqa: E402
from tests.api.story import Story  # noqa: E402

AMOUNT, REFUNDED = "30.00", "12.00"
ADDRESSES = {method: f"/payment/callback/{method}" for method in ("wechat", "alipay")}


@pytest.fixture(autouse=True)
def _switches(db, settings) -> Iterator[None]:
    settings.DEBUG = True  # stand-ins are for development
    settings.MOCK_CALLBACKS = False
    settings.ORDER_PRICE_POLICY = "open"
    settings.ORDER_EXPIRE_MINUTES = 120
    settings.REFUND_SECOND_APPROVAL_OVER = None
    settings.CONFIG_ACTIVATION_SECOND_PERSON = False
    settings.RATE_LIMIT_PER_MINUTE = 1_000_000
    cache.clear()
    _opened.cache_clear()
    yield
    cache.clear()


@pytest.fixture
def merchants_address() -> Iterator[Listener]:
    """One of its own for each test: what the gateway still sends to an earlier one gets lost."""
    listener = Listener()
    for path in ADDRESSES.values():
        listener.queue(path)
        listener.answers[path] = [(200, b"success")]
    yield listener
    listener.close()


class Shop:
    """The merchant's side and the payer's, step by step."""

    def __init__(self, stand_in: StandIn, listener: Listener, folder: Path) -> None:
        self.stand_in, self.listener, self.folder = stand_in, listener, folder
        self.api = Api()
        self.story = Story(self.api)
        self.admin, self.patient = someone(Role.ADMIN), someone(Role.PATIENT)

    def configure(self) -> None:
        """What staff enter after a key was replaced: whatever the console shows now."""
        call_command(
            "load_gateway_config",
            str(self.folder / "config.json"),
            notify_base=self.listener.base_url,
            verbosity=0,
        )

    def replace(self, *names: str) -> None:
        answer = self.stand_in.control("keys", replace=list(names))
        assert answer["status_code"] == 200, answer
        self.configure()

    def order(self) -> dict[str, Any]:
        return self.story.order(self.patient, AMOUNT)

    def start(self, order: dict[str, Any], method: str, **fields: Any) -> dict[str, Any]:
        return self.story.pay(order, self.patient, method, **fields)

    def payer_pays(self, order: dict[str, Any], method: str, start: dict[str, Any]) -> None:
        url = {"url": start["payment_url"]} if start["payment_url"] else {}
        answer = self.stand_in.control("pay", channel=method, out_trade_no=order["order_no"], **url)
        assert answer["status_code"] == 200, answer

    def notice(self, method: str) -> Any:
        """The next message that the gateway sent to the merchant's address."""
        return self.listener.queue(ADDRESSES[method]).get(timeout=30)

    def deliver(self, method: str, notice: Any) -> Any:
        names = ("Content-Type", "Request-ID")
        headers = {
            name: value
            for name, value in notice.headers.items()
            if name.lower().startswith("wechatpay-") or name in names
        }
        content_type = headers.pop("Content-Type")
        return Client().generic(
            "POST", ADDRESSES[method], notice.body, content_type=content_type, headers=headers
        )

    def ask_about(self, order: dict[str, Any]) -> None:
        attempt_check(PaymentTransaction.objects.get(order_id=order["id"]).id)

    def refund(self, order: dict[str, Any]) -> dict[str, Any]:
        refund = self.story.refund(order, self.patient, REFUNDED)
        self.story.review(refund, self.admin)
        return refund

    def send_refunds(self) -> None:
        """What refunds' task does, as if its next look were due."""
        Refund.objects.exclude(next_check_at=None).update(next_check_at=clock.now())
        submission.refunds_sweep()

    def take_notices(self) -> None:
        notices.notices_take()

    def theirs(self, order: dict[str, Any], method: str) -> dict[str, Any]:
        payments = self.stand_in.shown("books")["payments"]
        [found] = [row for row in payments if row["out_trade_no"] == order["order_no"]]
        assert found["channel"] == method
        return dict(found)


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory) -> Iterator[tuple[StandIn, Path]]:
    folder = tmp_path_factory.mktemp("gateways")
    with running(folder, refund_delay_seconds=0.05, spacing_factor=0) as opened:
        yield opened, folder


@pytest.fixture
def shop(stand_in, merchants_address, _switches) -> Shop:
    opened, folder = stand_in
    shop = Shop(opened, merchants_address, folder)
    shop.configure()
    return shop
