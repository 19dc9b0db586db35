"""Each channel's shape and signature, as its receiver checks them, and what is done when it fails.

The receivers here follow the platforms' published rules, written apart from the code they test.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socketserver
import threading
import time
from dataclasses import replace
from email import message_from_bytes, policy
from urllib.parse import parse_qs, urlsplit

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from gateways.tests.kit import Reply, StandIn
from tcmpay.common import clock
from tcmpay.notifications import channels, services
from tcmpay.notifications.channels import NotSent, send
from tcmpay.notifications.models import Channel, Notification
from tcmpay.notifications.services import LEASE, WAITS, notifications_send, notify
from tcmpay.watching import Notify

pytestmark = pytest.mark.django_db
KEY, SECRET = "CanaryKeyOfARobot", "SECCanarySecretOfARobot"
TAKEN = Reply(200, body=b'{"errcode": 0, "errmsg": "ok", "code": 0, "msg": "success"}')


@pytest.fixture(scope="module")
def server():
    with StandIn() as running:
        yield running


@pytest.fixture
def robot(server, settings):
    settings.NOTIFY = Notify(
        webhook_url=f"{server.url}/hook?token={KEY}",
        wecom_url=f"{server.url}/cgi-bin/webhook/send?key={KEY}",
        dingtalk_url=f"{server.url}/robot/send?access_token={KEY}",
        dingtalk_secret=SECRET,
        feishu_url=f"{server.url}/open-apis/bot/v2/hook/{KEY}",
        feishu_secret=SECRET,
    )
    settings.DEBUG = True  # this machine may be called
    server.begin().always(TAKEN)
    return server


def message(channel: str, text: str = "第一行\n第二行") -> Notification:
    return Notification(
        channel=channel,
        title="[严重] 报警 1 项",
        text=text,
        facts={"severity": "critical", "alarms": [{"name": "BeatSilent"}]},
        created_at=clock.now(),
    )


def received(robot) -> tuple[str, dict]:
    [seen] = robot.seen
    assert (seen.verb, seen.headers["content-type"].split(";")[0]) == ("POST", "application/json")
    return seen.target, json.loads(seen.body)


def headers_seen(robot) -> dict[str, str]:
    return {name.lower(): value for name, value in robot.seen[-1].headers.items()}


def test_the_generic_webhook_carries_the_facts_for_programs(robot):
    sent = message("webhook")
    send(sent)
    path, body = received(robot)
    assert path == f"/hook?token={KEY}"
    assert body["alarms"] == [{"name": "BeatSilent"}]
    assert (body["severity"], body["title"], body["id"]) == ("critical", sent.title, str(sent.id))


def test_with_a_secret_it_is_signed_so_that_a_receiver_knows_us(robot, settings):
    send(message("webhook"))
    assert "webhook-signature" not in headers_seen(robot)
    secret = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, no").decode()
    settings.NOTIFY = replace(settings.NOTIFY, webhook_secret=secret)
    sent = message("webhook")
    send(sent)
    headers = headers_seen(robot)
    body = Webhook(secret).verify(robot.seen[-1].body, headers)
    assert body["id"] == headers["webhook-id"] == str(sent.id)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(robot.seen[-1].body + b" ", headers)


def test_wecom_gets_markdown_within_its_bound(robot):
    send(message("wecom", "长" * 3000))
    path, body = received(robot)
    assert path == f"/cgi-bin/webhook/send?key={KEY}"
    assert body["msgtype"] == "markdown"
    assert body["markdown"]["content"].startswith("**[严重] 报警 1 项**\n长长")
    assert len(body["markdown"]["content"].encode()) <= 4096


def test_dingtalk_s_address_is_signed_with_the_moment_in_milliseconds(robot):
    send(message("dingtalk"))
    path, body = received(robot)
    asked = {name: value for name, [value] in parse_qs(urlsplit(path).query).items()}
    assert asked["access_token"] == KEY
    assert abs(int(asked["timestamp"]) / 1000 - time.time()) < 3600
    text = f"{asked['timestamp']}\n{SECRET}".encode()
    mac = hmac.new(SECRET.encode(), text, hashlib.sha256).digest()
    assert asked["sign"] == base64.b64encode(mac).decode()
    assert (body["msgtype"], body["markdown"]["title"]) == ("markdown", "[严重] 报警 1 项")
    assert "第一行\n\n第二行" in body["markdown"]["text"]


def test_feishu_s_body_is_signed_with_moment_and_secret_as_the_key(robot):
    send(message("feishu"))
    path, body = received(robot)
    assert path == f"/open-apis/bot/v2/hook/{KEY}"
    key = f"{body['timestamp']}\n{SECRET}".encode()
    assert abs(int(body["timestamp"]) - time.time()) < 3600
    mac = hmac.new(key, b"", hashlib.sha256).digest()
    assert body["sign"] == base64.b64encode(mac).decode()
    assert (body["msg_type"], body["content"]) == (
        "text",
        {"text": "[严重] 报警 1 项\n第一行\n第二行"},
    )


def test_without_a_secret_nothing_is_signed(robot, settings):
    settings.NOTIFY = Notify(
        dingtalk_url=settings.NOTIFY.dingtalk_url, feishu_url=settings.NOTIFY.feishu_url
    )
    send(message("dingtalk"))
    send(message("feishu"))
    assert "sign" not in robot.seen[0].target
    assert "sign" not in json.loads(robot.seen[1].body)


REFUSED = {
    "wecom": (Reply(200, body=b'{"errcode": 93000, "errmsg": "invalid"}'), "errcode 93000"),
    "dingtalk": (Reply(200, body=b'{"errcode": 310000, "errmsg": "sign"}'), "errcode 310000"),
    "feishu": (Reply(200, body=b'{"code": 19021, "msg": "sign"}'), "code 19021"),
    "webhook": (Reply(500, body=b"{}"), "HTTP 500"),
}


@pytest.mark.parametrize("channel", REFUSED)
def test_a_refusal_within_an_answer_is_one(robot, channel):
    reply, told = REFUSED[channel]
    robot.always(reply)
    with pytest.raises(NotSent, match=told):
        send(message(channel))


@pytest.mark.parametrize("body", [b"", b"[]", b"not json", b'{"errcode": "0"}', b'{"code": null}'])
def test_an_answer_that_says_nothing_is_no_consent(robot, body):
    robot.always(Reply(200, body=body))
    for channel in ("wecom", "feishu"):
        with pytest.raises(NotSent):
            send(message(channel))


def test_addresses_inside_are_not_called(robot, settings):
    settings.DEBUG = False  # with it on, this machine is reached for demos
    with pytest.raises(NotSent, match="NewConnectionError"):
        send(message("webhook"))
    assert robot.seen == []


# --- mail ---------------------------------------------------------------------------------------


class Mailbox(socketserver.StreamRequestHandler):
    """As much of SMTP as one message needs."""

    def handle(self) -> None:
        kept: list[bytes] = self.server.kept
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                kept.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


def test_mail_comes_to_whoever_is_named(settings):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Mailbox) as server:
        server.kept = []
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        settings.NOTIFY = Notify(
            email_to=("ops@tcm.test", "chief@tcm.test"),
            email_from="tcmpay@tcm.test",
            smtp_url=f"smtp://127.0.0.1:{server.server_address[1]}",
        )
        send(message("email"))
        server.shutdown()
    [raw] = server.kept
    found = message_from_bytes(raw, policy=policy.default)
    assert (found["To"], found["From"]) == ("ops@tcm.test, chief@tcm.test", "tcmpay@tcm.test")
    assert found["Subject"] == "[严重] 报警 1 项"
    assert found.get_content().splitlines() == ["第一行", "第二行"]


def test_a_mail_server_that_is_away_is_a_problem_not_a_fault(settings):
    settings.NOTIFY = Notify(
        email_to=("ops@tcm.test",), email_from="tcmpay@tcm.test", smtp_url="smtp://127.0.0.1:9"
    )
    with pytest.raises(NotSent, match="ConnectionRefusedError"):
        send(message("email"))


class Dripping(socketserver.StreamRequestHandler):
    """Greets for ever, a line now and then: no single read takes long."""

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"220-not yet\r\n")
                time.sleep(0.02)


def test_a_mail_server_that_drips_is_left_when_the_whole_time_is_over(settings, monkeypatch):
    monkeypatch.setattr(channels, "MAIL_SECONDS_MAX", 0.3)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Dripping) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        settings.NOTIFY = Notify(
            email_to=("ops@tcm.test",),
            email_from="tcmpay@tcm.test",
            smtp_url=f"smtp://127.0.0.1:{server.server_address[1]}",
        )
        with pytest.raises(NotSent, match=r"TimeoutError|SMTPServerDisconnected"):
            send(message("email"))
        server.shutdown()


# --- the queue ----------------------------------------------------------------------------------


def test_each_channel_that_is_set_up_gets_its_message(robot):
    assert notify("标题", "正文") == 4
    assert notifications_send() == 4
    rows = Notification.objects.all()
    assert [(row.sent_at is not None, row.due_at) for row in rows] == [(True, None)] * 4
    assert notifications_send() == 0
    assert len(robot.seen) == 4


def test_only_the_wanted_ones_of_those_set_up_are_used(robot, settings):
    settings.NOTIFY = Notify(wecom_url=settings.NOTIFY.wecom_url)
    assert notify("标题", "正文", channels=("email",)) == 0
    assert notify("标题", "正文", channels=("email", "wecom")) == 1


def test_what_is_not_taken_is_tried_again_ever_more_rarely_and_given_up(robot, caplog):
    robot.always(Reply(503))
    notify("标题", "正文", channels=("webhook",))
    moment = clock.now()
    for tries, wait in enumerate(WAITS, start=1):
        with clock.frozen(moment):
            assert notifications_send() == 0
        row = Notification.objects.get()
        assert (row.tries, row.problem, row.due_at) == (tries, "HTTP 503", moment + wait)
        moment += wait
    with clock.frozen(moment):
        notifications_send()
    row = Notification.objects.get()
    assert (row.due_at, row.sent_at) == (None, None)
    assert caplog.records[-1].levelno == logging.ERROR


def test_of_two_who_send_at_once_one_sends(robot):
    notify("标题", "正文", channels=("webhook",))
    [row] = Notification.objects.all()
    assert services._send_once(row)
    assert not services._send_once(row), "the other one read it before"
    assert len(robot.seen) == 1


def test_what_a_dead_process_held_is_sent_when_its_lease_is_over(robot, monkeypatch):
    notify("标题", "正文", channels=("webhook",))

    class Died(BaseException):
        pass

    def dies(row):
        raise Died

    now = clock.now()
    with monkeypatch.context() as patched, clock.frozen(now):
        patched.setattr(services, "send", dies)
        with pytest.raises(Died):
            notifications_send()
    with clock.frozen(now):
        assert notifications_send() == 0
    with clock.frozen(now + LEASE):
        assert notifications_send() == 1


def test_neither_the_log_nor_the_rows_tell_addresses_or_secrets(robot, caplog, settings):
    caplog.set_level(logging.DEBUG)
    robot.always(Reply(500))
    notify("标题", "正文")
    notifications_send()
    ours = [str(vars(record)) for record in caplog.records if "urllib3" not in record.name]
    told = "\n".join(ours) + str(list(Notification.objects.values())) + repr(settings.NOTIFY)
    assert "notification_not_sent" in told
    assert KEY not in told
    assert SECRET not in told


def test_every_channel_has_its_form():
    assert {*channels.FORMS, Channel.EMAIL} == set(Channel)
