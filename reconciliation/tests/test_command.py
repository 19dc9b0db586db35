"""``manage.py reconcile``: what it prints for programs and people, and how it ends."""

import io
import json
import zlib
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from gateways.errors import GatewayRejected, GatewayUnknown, RejectReason
from reconciliation.management.commands import reconcile
from reconciliation.models import BillFile, BillPart, ReconciledDay
from reconciliation.services import fetching, running
from reconciliation.services.running import BillsChanged
from reconciliation.tests.kit import (
    Opened,
    attempt,
    configured,
    fund_rows,
    open_written,
    payment_row,
    written,
)

pytestmark = pytest.mark.django_db
METHOD = "wechat"


@pytest.fixture
def version():
    return configured(METHOD)


@pytest.fixture(autouse=True)
def _notation(monkeypatch):
    monkeypatch.setattr(reconcile, "open_bill", open_written)


def ran(*options, date="2026-11-24"):
    """What it prints as JSON, and its exit code."""
    out: StringIO = StringIO()
    code: Any = 0
    try:
        call_command("reconcile", "--date", date, "--json", *options, stdout=out)
    except SystemExit as ended:
        code = ended.code
    return json.loads(out.getvalue()), code


@pytest.fixture
def file(tmp_path):
    def write(rows, name="bill.csv"):
        path = tmp_path / name
        path.write_bytes(rows if isinstance(rows, bytes) else written(rows))
        return str(path)

    return write


def test_a_day_that_agrees(version, file):
    line = payment_row(attempt(METHOD, version))
    funds = file(fund_rows([line]), "fund.csv")
    (told,), code = ran("--gateway", METHOD, "--file", file([line]), "--fund-file", funds)
    assert code == 0
    bill = BillFile.objects.get(bill_type="trade")
    assert told["bill"] == {"sha256": bill.sha256, "lines": 1, "quarantined": 0}
    del told["bill"], told["fund_bill"]
    assert told == {
        "date": "2026-11-24",
        "gateway": "wechat",
        "merchant": "1900000001",
        "funds": "checked",
        "matched": 1,
        "verified_share": "1.0000",
        "differences": [],
        "doubtful": [],
    }


def test_a_day_with_a_difference(version, file):
    payment = attempt(METHOD, version)
    (told,), code = ran("--gateway", METHOD, "--file", file([]))
    assert code == 1
    assert told["verified_share"] == "0.0000"
    row = ReconciledDay.objects.get().differences.get()
    del told["differences"][0]["reason"]
    assert told["differences"] == [
        {
            "type": "ours_only",
            "out_trade_no": payment.out_trade_no,
            "refund_no": "",
            "gateway_no": "",
            "ours": "30.00",
            "theirs": None,
            "case": str(row.case_id),
        }
    ]


def test_a_line_that_nobody_can_read(version, file):
    (told,), code = ran("--gateway", METHOD, "--file", file(b"what?"))
    assert (code, told["bill"]["quarantined"], told["matched"]) == (1, 1, 0)


def test_a_file_that_is_refused(version, file):
    told, code = ran("--gateway", METHOD, "--file", file(b"no bill"))
    assert code == 2
    assert told[0]["refused"] == "不是账单"
    assert told[0].keys() >= {"date", "gateway", "refused"}
    line = payment_row(attempt(METHOD, version))._replace(merchant="1900000002")
    told, code = ran("--gateway", METHOD, "--file", file([line]))
    assert code == 2
    assert "1900000002" in told[0]["refused"]
    told, code = ran("--gateway", METHOD, "--file", file([]), date="2026-11-27")
    assert code == 2
    assert not BillFile.objects.exists()


def test_another_file_replaces_only_when_told(version, file):
    line = payment_row(attempt(METHOD, version))
    ran("--gateway", METHOD, "--file", file([line]))
    other = file([line, line._replace(out_trade_no="SHOP", transaction_id="T2")], "other.csv")
    (told,), code = ran("--gateway", METHOD, "--file", other)
    assert code == 3
    assert told["replaced"]["only_after"] == 1
    assert BillFile.objects.count() == 1
    (told,), code = ran("--gateway", METHOD, "--file", other, "--replace")
    assert code == 1
    assert told["replaced"]["only_after"] == 1
    assert BillFile.objects.exclude(current_key=None).get().file_name == "other.csv"


def test_a_refused_fund_file_keeps_the_trade_file_out_too(version, file):
    funds = file(b"no bill", "fund.csv")
    _told, code = ran("--gateway", METHOD, "--file", file([]), "--fund-file", funds)
    assert code == 2
    assert not BillFile.objects.exists()


def test_a_file_that_names_no_merchant_of_several_asks_for_one(file):
    versions = [configured(METHOD, mch_id=number) for number in ("1900000002", "1900000001")]
    lines = [payment_row(attempt(METHOD, version)) for version in versions]
    path = file(fund_rows(lines[:1]), "fund.csv")
    told, code = ran("--gateway", METHOD, "--fund-file", path)
    assert code == 2
    assert "--merchant" in told[0]["refused"]
    told, code = ran("--gateway", METHOD, "--fund-file", path, "--merchant", "1900000001")
    assert (code, "另一商户号" in told[0]["refused"]) == (2, True)
    (told,), code = ran("--gateway", METHOD, "--fund-file", path, "--merchant", "1900000002")
    assert (code, told["merchant"]) == (0, "1900000002")
    told, code = ran("--gateway", METHOD, "--fund-file", path, "--merchant", "1900000003")
    assert (code, "1900000003" in told[0]["refused"]) == (2, True)


def test_a_kept_bill_that_was_tampered_with_is_refused(version, file):
    line = payment_row(attempt(METHOD, version))
    ran("--gateway", METHOD, "--file", file([line]))
    BillPart.objects.update(content=b"no bill")
    told, code = ran("--gateway", METHOD, "--fund-file", file(fund_rows([line]), "fund.csv"))
    assert (code, told[0]["refused"]) == (2, "账单原文已损坏")
    other = line._replace(amount_fen=1, settled_fen=1, fee=0)
    BillPart.objects.update(content=zlib.compress(written([other])))
    told, code = ran("--gateway", METHOD, "--fund-file", file(fund_rows([line]), "fund.csv"))
    assert (code, "哈希值" in told[0]["refused"]) == (2, True)


def test_bills_that_change_all_the_time_are_compared_later(version, file, monkeypatch):
    line = payment_row(attempt(METHOD, version))

    def write(*_facts):
        raise BillsChanged()

    monkeypatch.setattr(running, "_write", write)
    told, code = ran("--gateway", METHOD, "--file", file([line]))
    assert code == 4
    assert told[0]["waiting"]


@pytest.fixture
def gateway(monkeypatch):
    """What the gateway answers to a question for a bill."""
    answers = {"trade": None, "fund": None}

    class Asked:
        def download_bill(self, day):
            return self._answer("trade")

        def download_fund_bill(self, day):
            return self._answer("fund")

        def _answer(self, kind):
            answer = answers[kind]
            if isinstance(answer, Exception):
                raise answer
            if answer is None:
                return None
            return Opened(io.BytesIO(written(answer)), kind)

    monkeypatch.setattr(fetching, "gateway_of", lambda _merchant: Asked())
    return answers


def test_bills_are_fetched(version, gateway):
    line = payment_row(attempt(METHOD, version))
    gateway |= {"trade": [line], "fund": fund_rows([line])}
    (told,), code = ran("--gateway", METHOD)
    assert (code, told["matched"]) == (0, 1)
    assert told["fund_bill"]
    assert BillFile.objects.filter(source="fetched").count() == 2


def test_a_day_on_which_nothing_moved(version, gateway):
    (told,), code = ran("--gateway", METHOD)
    assert (code, told["bill"]["lines"]) == (0, 0)
    assert ReconciledDay.objects.get().is_without_movement


@pytest.mark.parametrize(
    "answer",
    [GatewayRejected("not yet", reason=RejectReason.TOO_SOON), GatewayUnknown("no answer")],
    ids=["not yet", "no answer"],
)
def test_a_bill_that_is_not_to_be_had_yet(version, gateway, answer):
    gateway["trade"] = answer
    told, code = ran("--gateway", METHOD)
    assert code == 4
    assert "waiting" in told[0]
    assert not BillFile.objects.exists()


@pytest.mark.parametrize("date", ["2026-11-25", "2026-11-26"])
def test_a_day_that_is_not_over_has_no_bill_yet(version, gateway, date):
    told, code = ran("--gateway", METHOD, date=date)
    assert code == 4
    assert date in told[0]["waiting"]
    assert not ReconciledDay.objects.exists()


def test_a_file_of_a_day_that_is_not_over_is_not_taken(version, file):
    told, code = ran("--gateway", METHOD, "--file", file([]), date="2026-11-25")
    assert (code, "waiting" in told[0]) == (4, True)
    assert not BillFile.objects.exists()


def test_without_a_gateway_named_all_are_compared(version, gateway):
    configured("alipay")
    told, code = ran()
    assert code == 0
    assert [one["gateway"] for one in told] == ["alipay", "wechat"]


def test_it_says_it_to_people_too(version, file):
    payment = attempt(METHOD, version)
    out = StringIO()
    for rows in ([], [payment_row(payment)]):
        with pytest.raises(SystemExit):
            call_command(
                "reconcile", date="2026-11-24", file=file(rows), gateway=METHOD, stdout=out
            )
    text = out.getvalue()
    assert "微信支付 1900000001" in text
    assert f"我方有，网关无 {payment.out_trade_no} 30.00" in text
    assert f"只在新文件 1 行，内容不同 0 行  {payment.out_trade_no}" in text
    assert "{" not in text


def test_a_day_that_is_none(version):
    with pytest.raises(CommandError):
        call_command("reconcile", date="24.11.2026", gateway=METHOD)
