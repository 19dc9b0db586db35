"""Callbacks that are wrong, at the addresses that gateways are given: what each may change.

Nothing about money, whatever it is. Forged ones are answered as refused and leave one bounded
security record; true ones that fit no payment of ours are answered as handled and held for staff.
The gateway's side is played by gateways.tests.kit, which also sees that it is never asked.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes

from gateways.tests import kit
from tests.gateways.stage import Purchase

UNKNOWN = "ORD20261124100000NOBODY"
PATHS = "/payment/callback/{}"
QUERIES = "/payment/callback?method={}"
CONFIG = {
    "wechat": {
        "mchid": kit.MCH_ID,
        "appid": kit.WX_APP_ID,
        "apiv3_key": kit.API_V3_KEY,
        "merchant_serial_no": f"{kit.MERCHANT_SERIAL:X}",
        "merchant_private_key_file": "merchant.key",
        "sign_mode": "pubkey",
        "public_key_id": kit.PUBLIC_KEY_ID,
        "platform_public_key_file": "wechat.pub",
    },
    "alipay": {
        "app_id": kit.ALI_APP_ID,
        "seller_id": kit.SELLER_ID,
        "sign_type": "RSA2",
        "charset": "utf-8",
        "app_private_key_file": "app.key",
        "alipay_public_key_file": "alipay.pub",
    },
}


@dataclass(frozen=True)
class Message:
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True)
class Scene:
    """An order that waits for its payment and one that is paid, at each gateway."""

    stand_in: Any
    waiting: dict[str, Purchase]
    paid: dict[str, Purchase]


@pytest.fixture(scope="module")
def scene(_stage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kit")
    with kit.StandIn() as stand_in:
        files = {
            "merchant.key": kit.private_pem("merchant"),
            "wechat.pub": kit.public_pem("wechat"),
            "app.key": kit.private_pem("app"),
            "alipay.pub": kit.public_pem("alipay"),
            "config.json": json.dumps(
                {
                    "wechat": CONFIG["wechat"] | {"base_url": stand_in.url},
                    "alipay": CONFIG["alipay"] | {"gateway_url": f"{stand_in.url}/gateway.do"},
                }
            ),
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        _stage.configure(folder / "config.json")
        stand_in.answer = lambda _seen: kit.wechat_reply(
            {"code_url": "weixin://wxpay/bizpayurl?pr=x"}, timestamp=now()
        )
        methods = ("wechat", "alipay")
        waiting = {method: _stage.buy(method) for method in methods}
        paid = {method: _stage.buy(method) for method in methods}
        for method, purchase in paid.items():
            right = RIGHT[method](purchase.number(method))
            assert post(_stage, method, right)[0] == 200
            assert purchase.status == "paid"
        stand_in.seen.clear()
        yield Scene(stand_in, waiting, paid)
    _stage.configure()


def now(offset: int = 0) -> str:
    return str(int(time.time()) + offset)


def post(stage, method: str, message: Message, address: str = PATHS):
    return stage.send("POST", address.format(method), message.body, message.headers)


# --- messages -----------------------------------------------------------------------------------


def wechat(number: str, **changes: Any) -> bytes:
    envelope = {name: changes.pop(name) for name in list(changes) if name in ENVELOPE}
    return kit.wechat_notification(trade(number, **changes), **envelope)


ENVELOPE = {"event", "aad", "api_v3_key", "ciphertext", "original_type", "algorithm"}


def trade(number: str, **changes: Any) -> dict[str, Any]:
    return kit.wechat_trade(out_trade_no=number, transaction_id=f"42{number[-20:]}", **changes)


def signed(body: bytes, **changes: Any) -> Message:
    headers = kit.wechat_headers(body, **{"timestamp": now(), **changes})
    return Message(body, headers | {"Content-Type": "application/json"})


def fields(number: str, **changes: str | None) -> dict[str, str]:
    return kit.alipay_fields(out_trade_no=number, trade_no=f"2026{number[-20:]}", **changes)


def form(given: dict[str, str], signature: str | None = None, tail: bytes = b"") -> Message:
    return Message(kit.alipay_body(given, signature) + tail, {"Content-Type": kit.FORM})


def wechat_refund(number: str, **changes: Any) -> bytes:
    refund = {
        "mchid": kit.MCH_ID,
        "out_trade_no": number,
        "transaction_id": "4200001234",
        "out_refund_no": "RFD" + "0" * 24,
        "refund_id": "5000001",
        "refund_status": "SUCCESS",
        "success_time": "2026-11-24T09:59:58+08:00",
        "amount": {"total": 3000, "refund": 3000, "payer_total": 3000, "payer_refund": 3000},
    }
    return kit.wechat_notification({**refund, **changes}, "REFUND.SUCCESS")


RIGHT: dict[str, Callable[[str], Message]] = {
    "wechat": lambda n: signed(wechat(n)),
    "alipay": lambda n: form(fields(n)),
}

FORGED: dict[str, dict[str, Callable[[str], Message]]] = {
    "wechat": {
        "another key": lambda n: signed(wechat(n), key="merchant"),
        "no signature": lambda n: signed(wechat(n), Signature=None),
        "body tampered with": lambda n: Message(
            wechat(n).replace(b"EV-1", b"EV-2"), signed(wechat(n)).headers
        ),
        "stale by six minutes": lambda n: signed(wechat(n), timestamp=now(-360)),
        "six minutes in the future": lambda n: signed(wechat(n), timestamp=now(360)),
        "no timestamp": lambda n: signed(wechat(n), Timestamp=None),
        "unknown serial": lambda n: signed(wechat(n), Serial="7DDE55AD98ED71D6EDD4"),
        "no serial": lambda n: signed(wechat(n), Serial=None),
        "downgraded signature type": lambda n: signed(wechat(n), Signature_Type="WECHATPAY2-MD5"),
        "signature probe": lambda n: signed(
            wechat(n), Signature="WECHATPAY/SIGNTEST/" + kit.sign("wechat", b"x")
        ),
        "wrong AAD": lambda n: signed(wechat(n, aad="refund")),
        "wrong APIv3 key": lambda n: signed(wechat(n, api_v3_key="x" * 32)),
        "ciphertext tampered with": lambda n: signed(wechat(n, ciphertext="AAAA" * 30)),
        "foreign merchant": lambda n: signed(wechat(n, mchid="1900000999")),
        "foreign application": lambda n: signed(wechat(n, appid="wx9999999999999999")),
        "refund of a foreign merchant": lambda n: signed(wechat_refund(n, mchid="1900000999")),
        "amount as text": lambda n: signed(wechat(n, amount={"total": "3000", "currency": "CNY"})),
        "amount as a float": lambda n: signed(
            wechat(n, amount={"total": 3000.0, "currency": "CNY"})
        ),
        "duplicate names": lambda n: signed(
            wechat(n).replace(b'"id": "EV-1"', b'"id": "EV-1", "id": "EV-2"')
        ),
        "no JSON": lambda _n: signed(b"{"),
        "no headers": lambda n: Message(wechat(n), {"Content-Type": "application/json"}),
    },
    "alipay": {
        "another key": lambda n: form(fields(n), kit.alipay_signature(fields(n), key="app")),
        "no signature": lambda n: Message(
            form(fields(n)).body.rpartition(b"&sign=")[0], {"Content-Type": kit.FORM}
        ),
        "amount tampered with": lambda n: Message(
            form(fields(n)).body.replace(b"amount=30.00", b"amount=30.01"),
            {"Content-Type": kit.FORM},
        ),
        "field added": lambda n: form(fields(n), tail=b"&extra=1"),
        "duplicate keys": lambda n: form(fields(n), tail=b"&total_amount=30.00"),
        "downgraded to RSA": lambda n: form(
            fields(n, sign_type="RSA"),
            kit.alipay_signature(fields(n, sign_type="RSA"), digest=hashes.SHA1),
        ),
        "SHA-1 called RSA2": lambda n: form(
            fields(n), kit.alipay_signature(fields(n), digest=hashes.SHA1)
        ),
        "foreign application": lambda n: form(fields(n, app_id="2021000000000000")),
        "foreign seller": lambda n: form(fields(n, seller_id="2088000000000999")),
        "amount with an exponent": lambda n: form(fields(n, total_amount="3e1")),
        "amount with three decimals": lambda n: form(fields(n, total_amount="30.000")),
        "amount as a fraction": lambda n: form(fields(n, total_amount="29.999999999999999")),
        "negative amount": lambda n: form(fields(n, total_amount="-30.00")),
        "another charset": lambda n: form(fields(n, charset="big5")),
        "JSON": lambda n: Message(form(fields(n)).body, {"Content-Type": "application/json"}),
    },
}
HELD: dict[str, dict[str, tuple[str, Callable[[str], Message]]]] = {
    "wechat": {
        "a fen too much": (
            "wrong_amount",
            lambda n: signed(wechat(n, amount={"total": 3001, "currency": "CNY"})),
        ),
        "a fen too little": (
            "wrong_amount",
            lambda n: signed(wechat(n, amount={"total": 2999, "currency": "CNY"})),
        ),
        "another currency": (
            "wrong_amount",
            lambda n: signed(wechat(n, amount={"total": 3000, "currency": "USD"})),
        ),
        "unknown order": ("unknown_order", lambda _n: signed(wechat(UNKNOWN))),
        "not paid": ("not_paid", lambda n: signed(wechat(n, trade_state="NOTPAY"))),
        "another event": ("ignored", lambda n: signed(wechat(n, event="PAYSCORE.USER_OPEN"))),
        "refund nobody asked for": ("refund_notice", lambda n: signed(wechat_refund(n))),
    },
    "alipay": {
        "a fen too much": ("wrong_amount", lambda n: form(fields(n, total_amount="30.01"))),
        "a fen too little": ("wrong_amount", lambda n: form(fields(n, total_amount="29.99"))),
        "unknown order": ("unknown_order", lambda _n: form(fields(UNKNOWN))),
        "not paid": ("not_paid", lambda n: form(fields(n, trade_status="WAIT_BUYER_PAY"))),
        "another kind of notice": ("ignored", lambda n: form(fields(n, notify_type="dut_user"))),
        "refund that looks like a payment": (
            "refund_notice",
            lambda n: form(fields(n, refund_fee="30.00", out_biz_no="RFD" + "0" * 24)),
        ),
    },
}
REPEATED: dict[str, dict[str, tuple[str, Callable[[str], Message]]]] = {
    "wechat": {
        "replay": ("repeat", lambda n: signed(wechat(n))),
        "another transaction": (
            "mismatch",
            lambda n: signed(kit.wechat_notification(kit.wechat_trade(out_trade_no=n))),
        ),
        "closed after it was paid": ("mismatch", lambda n: signed(wechat(n, trade_state="CLOSED"))),
    },
    "alipay": {
        "replay": ("repeat", lambda n: form(fields(n))),
        "a day old": ("repeat", lambda n: form(fields(n, notify_time="2026-11-23 09:00:00"))),
        "another transaction": ("mismatch", lambda n: form(kit.alipay_fields(out_trade_no=n))),
        "closed after it was paid": (
            "mismatch",
            lambda n: form(fields(n, trade_status="TRADE_CLOSED", gmt_payment=None)),
        ),
    },
}
# The form of the address matters to routing only: one forged, one held message at each.
BOTH_ADDRESSES = {"another key", "a fen too much"}


def cases(table):
    for method, wrongs in table.items():
        for name in wrongs:
            yield pytest.param(method, name, PATHS, id=f"{method}-{name}")
            if name in BOTH_ADDRESSES:
                yield pytest.param(method, name, QUERIES, id=f"{method}-{name}-query")


def newest(stage):
    [row] = stage.hand.rows(
        "SELECT verdict, reason FROM payment_callbacks ORDER BY received_at DESC LIMIT 1"
    )
    return row


def ensure_nothing_moves(stage, scene, method, message, address):
    """Post it; the answer. No row about money changed, and nobody was asked about it."""
    before, count = stage.hand.do("money"), records(stage)
    answer = post(stage, method, message, address)
    assert stage.hand.do("money") == before
    assert not scene.stand_in.seen
    assert records(stage) == count + 1
    return answer


def records(stage):
    [[count]] = stage.hand.rows("SELECT COUNT(*) FROM payment_callbacks")
    return count


def ensure_handled(method, status, headers, body):
    assert status == 200
    if method == "alipay":
        assert (headers["Content-Type"], body) == ("text/plain", b"success")
    else:
        assert json.loads(body)["code"] == "SUCCESS"


def test_there_are_more_than_twenty():
    assert sum(map(len, (*FORGED.values(), *HELD.values(), *REPEATED.values()))) >= 50


@pytest.mark.parametrize(("method", "name", "address"), list(cases(FORGED)))
def test_a_forged_one_is_refused(stage, scene, method, name, address):
    message = FORGED[method][name](scene.waiting[method].number(method))
    status, headers, body = ensure_nothing_moves(stage, scene, method, message, address)
    assert status == 401
    if method == "alipay":
        assert (headers["Content-Type"], body) == ("text/plain", b"failure")
    else:
        answer = json.loads(body)
        assert (answer["code"], bool(answer["message"])) == ("FAIL", True)
    verdict, reason = newest(stage)
    assert verdict == "untrusted"
    assert 0 < len(reason) <= 300


@pytest.mark.parametrize(("method", "name", "address"), list(cases(HELD)))
def test_a_true_one_that_does_not_fit_is_held(stage, scene, method, name, address):
    expected, build = HELD[method][name]
    message = build(scene.waiting[method].number(method))
    ensure_handled(method, *ensure_nothing_moves(stage, scene, method, message, address))
    verdict, reason = newest(stage)
    assert verdict == expected
    assert reason or expected in {"not_paid", "refund_notice"}


@pytest.mark.parametrize(("method", "name", "address"), list(cases(REPEATED)))
def test_one_about_a_paid_order_changes_nothing(stage, scene, method, name, address):
    expected, build = REPEATED[method][name]
    message = build(scene.paid[method].number(method))
    ensure_handled(method, *ensure_nothing_moves(stage, scene, method, message, address))
    assert newest(stage)[0] == expected


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_the_right_one_still_applies_after_all_of_them(stage, scene, method):
    purchase = scene.waiting[method]
    assert purchase.status == "pending"
    ensure_handled(method, *post(stage, method, RIGHT[method](purchase.number(method))))
    assert purchase.status == "paid"
    assert purchase.verdicts(purchase.number(method))[-1] == "applied"


def test_a_flood_leaves_a_bounded_number_of_rows_and_stops_nobody(stage, scene):
    """At most sixty a minute and gateway; the flood may meet the turn of a minute."""
    before = records(stage)
    purchase = stage.buy("alipay")
    for _ in range(200):
        message = signed(b"{}", Serial="7DDE55AD98ED71D6EDD4")
        assert post(stage, "wechat", message)[0] == 401
    assert records(stage) - before <= 120
    assert not scene.stand_in.seen
    ensure_handled("alipay", *post(stage, "alipay", form(fields(purchase.number("alipay")))))
    assert purchase.status == "paid"
