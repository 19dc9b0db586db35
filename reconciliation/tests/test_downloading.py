"""Bills that staff want again are asked for by a worker, as the one who wants them."""

import io
import uuid
from types import SimpleNamespace

import pytest

from gateways.errors import GatewayUnavailable
from payments.errors import GatewayDown
from reconciliation.errors import BillNotReady
from reconciliation.models import BillDownload, BillFile, BillUpload, ReconciledDay
from reconciliation.services import downloading, fetching
from reconciliation.services.downloading import (
    LEASE,
    TRIES_MAX,
    bills_download,
    bills_download_ask,
)
from reconciliation.services.queueing import days_compare
from reconciliation.tests.kit import (
    DAY,
    attempt,
    configured,
    merchant,
    open_written,
    payment_row,
    written,
)
from tcmpay.audit.models import AuditEvent
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role

pytestmark = pytest.mark.django_db
METHOD = "wechat"
CLERK = Actor(uuid.uuid4(), Role.STAFF)


@pytest.fixture(autouse=True)
def rung(monkeypatch):
    bells: list[str] = []
    monkeypatch.setattr(downloading, "ring", bells.append)
    return bells


@pytest.fixture
def payment():
    return attempt(METHOD, configured(METHOD))


def gives(monkeypatch, *rows):
    gateway = SimpleNamespace(
        download_bill=lambda _day: open_written(METHOD, "trade", io.BytesIO(written(rows))),
        download_fund_bill=lambda _day: None,
    )
    monkeypatch.setattr(fetching, "gateway_of", lambda _merchant: gateway)


def ask() -> None:
    bills_download_ask(actor=CLERK, merchant=merchant(METHOD), day=DAY)


def answered() -> tuple[str, str]:
    row = BillDownload.objects.get()
    return row.status, row.reason


def test_a_bill_that_there_was_none_of_counts_and_the_day_is_compared(payment, rung, monkeypatch):
    gives(monkeypatch, payment_row(payment))
    ask()
    assert rung == ["reconciliation.download_bills"]
    assert not ReconciledDay.objects.exists(), "a day that nobody has a bill of stays without one"
    assert bills_download() == 1
    assert days_compare() == 1
    assert answered() == ("done", "")
    assert ReconciledDay.objects.get().matched == 1
    assert AuditEvent.objects.get(action="bill_imported").actor_id == CLERK.id
    assert bills_download() == 0


def test_of_several_downloads_that_differ_the_newest_may_replace(payment, monkeypatch):
    for amount in (3000, 2999, 2998):
        gives(monkeypatch, payment_row(payment, amount_fen=amount))
        ask()
        bills_download()
    assert BillFile.objects.count() == 1
    told = BillUpload.objects.order_by("sent_at", "id").values_list("status", "source")
    assert list(told) == [("refused", "fetched"), ("differs", "fetched")]


def test_what_the_gateway_refuses_is_told_and_asked_for_once(payment, monkeypatch):
    def silent(_merchant):
        raise GatewayUnavailable("no answer")

    monkeypatch.setattr(fetching, "gateway_of", silent)
    ask()
    assert bills_download() == 1
    assert answered() == ("refused", str(GatewayDown.message))
    assert bills_download() == 0


def test_what_is_asked_for_while_a_gateway_answers_is_asked_for_again(payment, monkeypatch):
    def asks_again(_merchant):
        ask()
        raise GatewayUnavailable("no answer")

    monkeypatch.setattr(fetching, "gateway_of", asks_again)
    ask()
    bills_download()
    assert answered() == ("waiting", "")
    gives(monkeypatch, payment_row(payment))
    assert bills_download() == 1
    assert answered() == ("done", "")


def test_a_worker_that_dies_over_it_is_followed_by_another_and_not_for_ever(payment, monkeypatch):
    def dies(*_asked):
        raise SystemError

    monkeypatch.setattr(downloading, "_download", dies)
    ask()
    with monkeypatch.context(), clock.frozen(clock.now()):
        assert bills_download() == 1
        assert bills_download() == 0, "held until the lease ends"
    monkeypatch.undo()
    BillDownload.objects.update(tries=TRIES_MAX)
    with clock.frozen(clock.now() + LEASE):
        assert bills_download() == 1
    status, reason = answered()
    assert status == "refused"
    assert reason


def test_a_day_that_is_not_over_has_no_bill_to_ask_for():
    with pytest.raises(BillNotReady):
        bills_download_ask(actor=CLERK, merchant=merchant(METHOD), day=clock.today())
