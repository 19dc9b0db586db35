"""Keys: both kinds of WeChat's, both at once, and the change from one pair to the next."""

import json
from contextlib import AbstractContextManager

import pytest

from tests.gateways.stage import stand_ins
from tests.trial.stage import StandInControl


@pytest.fixture
def other_stand_in(stage, tmp_path):
    """Stand-ins with keys of their own, steered in place of the stage's until the test is over."""
    first = stage.stand_in
    opened: list[AbstractContextManager[int]] = []

    def replace(*options):
        folder = tmp_path / "gateways"
        running = stand_ins(folder, *options)
        port = running.__enter__()
        opened.append(running)
        stage.stand_in = StandInControl(port)
        return folder / "config.json"

    yield replace
    stage.stand_in = first
    for running in opened:
        running.__exit__(None, None, None)
    stage.configure()


def signed_by(stage, number):
    """The serials that the callbacks about ``number`` were signed with."""
    rows = stage.hand.rows(
        "SELECT b.headers FROM payment_callbacks c JOIN payment_callback_bodies b"
        " ON b.callback_id = c.id WHERE c.out_trade_no = %s ORDER BY c.received_at",
        number,
    )
    return [json.loads(headers)["Wechatpay-Serial"] for [headers] in rows]


def test_certificate_mode(stage, other_stand_in):
    config = other_stand_in("--sign-mode", "cert")
    stage.configure(config)
    purchase = stage.buy("wechat")
    purchase.pay("wechat")
    purchase.ask_refund()
    purchase.wait_for_refund(after=600)
    wechat = json.loads(config.read_text())["wechat"]
    assert set(signed_by(stage, purchase.number("wechat"))) == {wechat["platform_serial_no"]}


def test_both_kinds_during_the_migration(stage, other_stand_in):
    config = other_stand_in("--sign-mode", "mixed")
    values = json.loads(config.read_text())
    values["wechat"]["sign_mode"] = "pubkey"
    config.write_text(json.dumps(values))
    stage.configure(config)
    certificate = config.with_name(values["wechat"]["platform_cert_file"]).read_text()
    stage.ask(
        "PUT",
        "admin/config/wechat",
        stage.admin,
        config_key="platform_cert",
        config_value=certificate,
        is_encrypted=False,
    )
    purchase = stage.buy("wechat")
    purchase.pay("wechat")
    named = purchase.trade("wechat")
    for twist in ("by_certificate", "by_public_key"):
        [answer] = stage.stand_in.ask("notify", **named, twists=[twist])["answers"]
        assert answer["received"], answer
    assert set(signed_by(stage, purchase.number("wechat"))) == {
        values["wechat"]["platform_serial_no"],
        values["wechat"]["public_key_id"],
    }


@pytest.mark.parametrize("method", ["wechat", "alipay"])
def test_the_previous_keys_verify_callbacks_and_finish_what_they_began(
    stage, other_stand_in, method
):
    begun, first = stage.buy(method), stage.stand_in
    stage.configure(other_stand_in())
    newer = stage.buy(method)
    newer.pay(method)
    # The attempt from before is paid, reported and refunded at the gateway that it began at.
    stage.stand_in, second = first, stage.stand_in
    begun.pay(method)
    assert begun.verdicts(begun.number(method)) == ["applied"]
    begun.ask_refund()
    begun.wait_for_refund(after=600)
    assert begun.theirs(method)["refunded_fen"] == 3000
    stage.stand_in = second
    newer.ask_refund()
    newer.wait_for_refund(after=600)
    assert newer.theirs(method)["refunded_fen"] == 3000
