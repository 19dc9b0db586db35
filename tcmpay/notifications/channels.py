"""How a message looks on each channel, and one call that brings it there.

The robots of WeCom, DingTalk and Feishu take JSON at an address that is itself a secret; the last
two may want a signature besides. Their answers are 200 whatever happened: a code inside tells.
"""

import base64
import hashlib
import hmac
import json
import smtplib
import socket
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import quote_plus, unquote, urlsplit

import certifi
import urllib3
from django.conf import settings
from standardwebhooks.webhooks import Webhook
from urllib3.exceptions import HTTPError

from tcmpay.common.call_bounds import bounded, tls_context
from tcmpay.common.egress import bounded_connection, guard
from tcmpay.notifications.models import Channel, Notification

CALL_SECONDS_MAX = 10.0
# A mail is a dozen answers.
MAIL_SECONDS_MAX = 30.0
ANSWER_BYTES_MAX = 64 * 1024
# (bytes) WeCom takes 4096 of Markdown, the others some 20,000 in all.
WECOM_TEXT_MAX, ROBOT_TEXT_MAX = 4000, 16_000
CUT = "…"


class NotSent(Exception):
    """It was not taken; the text says why in a word, and nothing of addresses or answers."""


def channels_set_up() -> list[Channel]:
    """The channels that the deployment names an address for."""
    return [Channel(name) for name in settings.NOTIFY.channels]


def send(notification: Notification) -> None:
    """Bring it there once. Raises NotSent."""
    channel = Channel(notification.channel)
    if channel not in channels_set_up():
        raise NotSent("NOT_SET_UP")
    if channel == Channel.EMAIL:
        _mail(notification)
    else:
        address, body = FORMS[channel](notification)
        text = json.dumps(body, ensure_ascii=False).encode()
        headers = _signature(notification, text) if channel == Channel.WEBHOOK else {}
        _check(channel, _post(address, text, headers))


# --- how it looks -------------------------------------------------------------------------------


def _webhook(notification: Notification) -> tuple[str, dict[str, Any]]:
    body = {
        "id": str(notification.id),
        "source": settings.CLINIC_NAME,
        "title": notification.title,
        "text": notification.text,
        "created_at": notification.created_at.isoformat(),
        **notification.facts,
    }
    return settings.NOTIFY.webhook_url, body


def _wecom(notification: Notification) -> tuple[str, dict[str, Any]]:
    content = _cut(f"**{notification.title}**\n{notification.text}", WECOM_TEXT_MAX)
    return settings.NOTIFY.wecom_url, {"msgtype": "markdown", "markdown": {"content": content}}


def _dingtalk(notification: Notification) -> tuple[str, dict[str, Any]]:
    address = settings.NOTIFY.dingtalk_url
    if secret := settings.NOTIFY.dingtalk_secret:
        moment = str(round(time.time() * 1000))
        sign = quote_plus(_mac(secret.encode(), f"{moment}\n{secret}".encode()))
        address += f"{'&' if '?' in address else '?'}timestamp={moment}&sign={sign}"
    # A line break of Markdown there needs an empty line.
    lines = notification.text.replace("\n", "\n\n")
    text = _cut(f"### {notification.title}\n\n{lines}", ROBOT_TEXT_MAX)
    markdown = {"title": notification.title, "text": text}
    return address, {"msgtype": "markdown", "markdown": markdown}


def _feishu(notification: Notification) -> tuple[str, dict[str, Any]]:
    text = _cut(f"{notification.title}\n{notification.text}", ROBOT_TEXT_MAX)
    body: dict[str, Any] = {"msg_type": "text", "content": {"text": text}}
    if secret := settings.NOTIFY.feishu_secret:
        moment = str(round(time.time()))
        # Here moment and secret are the key, and what is signed is empty.
        body |= {"timestamp": moment, "sign": _mac(f"{moment}\n{secret}".encode(), b"")}
    return settings.NOTIFY.feishu_url, body


FORMS: Mapping[str, Callable[[Notification], tuple[str, dict[str, Any]]]] = {
    Channel.WEBHOOK: _webhook,
    Channel.WECOM: _wecom,
    Channel.DINGTALK: _dingtalk,
    Channel.FEISHU: _feishu,
}
# Where the answer of a robot says whether it took the message: 0.
CODES = {Channel.WECOM: "errcode", Channel.DINGTALK: "errcode", Channel.FEISHU: "code"}


def _mac(key: bytes, text: bytes) -> str:
    return base64.b64encode(hmac.new(key, text, hashlib.sha256).digest()).decode()


def _cut(text: str, bytes_max: int) -> str:
    encoded = text.encode()
    if len(encoded) <= bytes_max:
        return text
    return encoded[: bytes_max - len(CUT.encode())].decode(errors="ignore") + CUT


# --- one call -----------------------------------------------------------------------------------


def _signature(notification: Notification, text: bytes) -> dict[str, str]:
    """The headers of Standard Webhooks, where a secret is set: by them a receiver knows us, and
    one message that comes twice."""
    secret = settings.NOTIFY.webhook_secret
    if not secret:
        return {}
    message_id, moment = str(notification.id), datetime.now(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, moment, text.decode()),
    }


def _post(address: str, text: bytes, headers: Mapping[str, str]) -> bytes:
    pool = guard(
        urllib3.PoolManager(ssl_context=tls_context(certifi.where())),
        is_loopback_allowed=settings.DEBUG,
    )
    try:
        with bounded(seconds=CALL_SECONDS_MAX, bytes_max=ANSWER_BYTES_MAX):
            answer = pool.request(
                "POST",
                address,
                body=text,
                headers={"Content-Type": "application/json; charset=utf-8", **headers},
                retries=False,
                redirect=False,
            )
    except (HTTPError, OSError, ValueError) as error:
        raise NotSent(type(error).__name__) from None
    if not 200 <= answer.status < 300:
        raise NotSent(f"HTTP {answer.status}")
    return answer.data


def _check(channel: Channel, answer: bytes) -> None:
    if channel not in CODES:
        return
    try:
        code = json.loads(answer)[CODES[channel]]
    except (ValueError, LookupError, TypeError):
        raise NotSent("UNREADABLE") from None
    if code != 0:
        raise NotSent(f"{CODES[channel]} {code}"[:50] if isinstance(code, int) else "UNREADABLE")


class _BoundedSmtp(smtplib.SMTP):
    """A server that drips its answers, too, is left when the call's time is over."""

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return bounded_connection(host, port, timeout)


class _BoundedSmtps(smtplib.SMTP_SSL, _BoundedSmtp):
    """The same with TLS from the first byte on: SMTP_SSL wraps what the next class connects."""


def _mail(notification: Notification) -> None:
    """Over the mail server of NOTIFY_SMTP_URL, which whoever deploys names: it may be inside."""
    parts = urlsplit(settings.NOTIFY.smtp_url)
    host, message = parts.hostname or "", EmailMessage()
    message["Subject"] = notification.title
    message["From"] = settings.NOTIFY.email_from
    message["To"] = notification.recipients or ", ".join(settings.NOTIFY.email_to)
    message.set_content(notification.text)
    context = tls_context(certifi.where())
    try:
        with bounded(seconds=MAIL_SECONDS_MAX, bytes_max=ANSWER_BYTES_MAX):
            if parts.scheme == "smtps":
                server: smtplib.SMTP = _BoundedSmtps(
                    host, parts.port or 465, timeout=CALL_SECONDS_MAX, context=context
                )
            else:
                server = _BoundedSmtp(host, parts.port or 587, timeout=CALL_SECONDS_MAX)
            with server:
                if parts.scheme == "smtp+starttls":
                    server.starttls(context=context)
                if parts.username:
                    server.login(unquote(parts.username), unquote(parts.password or ""))
                server.send_message(message)
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotSent(type(error).__name__) from None
