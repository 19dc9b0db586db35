"""Delivery of what is due on the books, by the real retry schedules shortened.

Only loopback addresses are ever called, and redirects are never followed.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import logging
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulator import books, clock
from simulator.alipay import messages as alipay
from simulator.machine import Machine
from simulator.store import Notice, NoticeState, Refund
from simulator.wechat import messages as wechat

log = logging.getLogger("simulator.notify")

# Seconds between tries [wechatpay-v3.md section 8; alipay.md section 9].
WECHAT_WAITS = (
    15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600,
)  # fmt: skip
ALIPAY_WAITS = (240, 600, 600, 3600, 7200, 21600, 54000)
WAITS = {"wechat": WECHAT_WAITS, "alipay": ALIPAY_WAITS}

ANSWER_SECONDS = 5.0
ANSWER_BYTES_MAX = 4_096
WORKERS = 8
IDLE_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """What the merchant said; status 0 when nothing came, and why."""

    status: int
    text: str


class NotOurs(Exception):
    """An address that the stand-in must not call."""


def is_received(channel: str, answer: Answer) -> bool:
    """WeChat: 200 or 204. Alipay: exactly the seven letters."""
    if channel == "wechat":
        return answer.status in (200, 204)
    return answer.status == 200 and answer.text == "success"


def loopback_address(host: str, port: int) -> str:
    """The loopback address behind a host; every address it has must be one.

    Raises:
        NotOurs: any of them is elsewhere, or there is none.
    """
    try:
        items = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotOurs(f"{host} is unknown") from error
    found = {str(item[4][0]) for item in items}
    if not found or not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise NotOurs(f"{host} is not loopback")
    return min(found)


def post(url: str, headers: dict[str, str], body: bytes) -> Answer:
    """One delivery, bounded in time and size.

    Raises:
        NotOurs: the address is not http(s) on loopback.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise NotOurs(str(error)) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NotOurs(f"{url} is not http(s)")
    address = loopback_address(parts.hostname, port)
    connection = http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
    if parts.scheme == "https":
        # On loopback a certificate proves nothing and is usually self-made.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(
            address, port, timeout=ANSWER_SECONDS, context=context
        )
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target, body, headers | {"Host": parts.netloc.split("@")[-1]})
        response = connection.getresponse()
        text = response.read(ANSWER_BYTES_MAX).decode("utf-8", "replace")
        return Answer(response.status, text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, f"{type(error).__name__}: {error}"[:200])
    finally:
        connection.close()


def deliver(machine: Machine, notice: Notice, wrongs: frozenset[str] = frozenset()) -> Answer:
    """Send now, whatever the schedule says, and change nothing on the books.

    Raises:
        NotOurs: the address is not one to call.
    """
    messages = wechat if notice.channel == "wechat" else alipay
    headers, body = messages.notice_request(machine, notice, wrongs)
    return post(notice.url, headers | {"User-Agent": "Simulator Notify"}, body)


class Notifier:
    """Does what is due: deliveries, and refunds that settle. It looks after each change of the
    books, and when the next is due."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._pool = ThreadPoolExecutor(WORKERS, "notify")
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Take up what a restart left under way, too."""
        self._machine.store.rows(
            "UPDATE notice SET next_at = ? WHERE state = ? AND next_at IS NULL",
            (clock.now(), NoticeState.WAITING),
        )
        self._thread.start()

    def stop(self) -> None:
        """The machine has been told to stop."""
        self._machine.store.changed.set()
        self._thread.join(ANSWER_SECONDS)
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        while not self._machine.stopping.is_set():
            self._machine.store.changed.clear()
            seconds = IDLE_SECONDS
            try:
                seconds = self._do_due()
            except Exception:
                log.exception("looking for what is due failed")
            self._machine.store.changed.wait(seconds)

    def _do_due(self) -> float:
        """How many seconds there are to the next."""
        store, now = self._machine.store, clock.now()
        for notice in store.find(Notice, "state = 'waiting' AND next_at <= ?", now):
            store.update(notice, next_at=None, extra_copies=0)
            for _ in range(1 + notice.extra_copies):
                self._pool.submit(self._send, notice)
        for refund in store.find(Refund, "status = 'PROCESSING' AND settle_at <= ?", now):
            with contextlib.suppress(books.Refused):  # steered by hand meanwhile
                books.refund_settle(self._machine, refund, refund.settle_as)
        ((due,),) = store.rows(
            "SELECT min(due) FROM (SELECT min(next_at) AS due FROM notice WHERE state = 'waiting'"
            " UNION SELECT min(settle_at) FROM refund WHERE status = 'PROCESSING')"
        )
        return IDLE_SECONDS if due is None else min(max(0.01, due - clock.now()), IDLE_SECONDS)

    def _send(self, notice: Notice) -> None:
        store = self._machine.store
        try:
            answer = deliver(self._machine, notice)
        except NotOurs as error:
            log.warning("refused to call %s: %s", notice.url, error)
            store.update(notice, state=NoticeState.REFUSED, last_answer=str(error))
            store.log(notice, f"拒绝通知 {notice.url}：{error}")
        except Exception:
            log.exception("a notification failed")
        else:
            if not self._machine.stopping.is_set():
                self._record(notice, answer)

    def _record(self, notice: Notice, answer: Answer) -> None:
        """Write down a try, and plan the next one unless it was received."""
        store, waits = self._machine.store, WAITS[notice.channel]
        with store.atomic():
            notice = store.get(Notice, notice.id)
            attempts, due = notice.attempts + 1, None
            if is_received(notice.channel, answer) or notice.state != NoticeState.WAITING:
                state = NoticeState.DELIVERED
            elif attempts > len(waits):
                state = NoticeState.GIVEN_UP
            else:
                state = NoticeState.WAITING
                due = clock.now() + waits[attempts - 1] * self._machine.settings.notify_factor
            shown = f"{answer.status} {answer.text}"[:300]
            store.update(notice, state=state, attempts=attempts, next_at=due, last_answer=shown)
