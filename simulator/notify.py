"""Delivery: a heap of what is due, a few workers, the real retry schedules shortened.

Only loopback addresses are ever called, and redirects are never followed.
"""

from __future__ import annotations

import heapq
import http.client
import ipaddress
import itertools
import logging
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from simulator import books, clock
from simulator.alipay import messages as alipay_messages
from simulator.store import Notice, NoticeState, Refund, RefundStatus
from simulator.wechat import messages as wechat_messages

if TYPE_CHECKING:
    from simulator.machine import Machine

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
JOBS_MAX = 200_000


@dataclass(frozen=True)
class Answer:
    """What the merchant said; status 0 when nothing came, and why."""

    status: int
    text: str

    def shown(self) -> dict[str, object]:
        return {"status": self.status, "text": self.text}


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
        found = {
            str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        }
    except OSError as error:
        raise NotOurs(f"{host} is unknown") from error
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
    connection = connect(parts.scheme, address, port)
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


def connect(scheme: str, address: str, port: int) -> http.client.HTTPConnection:
    if scheme == "http":
        return http.client.HTTPConnection(address, port, timeout=ANSWER_SECONDS)
    # On loopback a certificate proves nothing and is usually self-made.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, port, timeout=ANSWER_SECONDS, context=context)


def request_of(
    machine: Machine, notice: Notice, twists: frozenset[str] = frozenset()
) -> tuple[dict[str, str], bytes]:
    messages = wechat_messages if notice.channel == "wechat" else alipay_messages
    headers, body = messages.notice_request(machine, notice, twists)
    return headers | {"User-Agent": "Simulator Notify"}, body


def deliver_once(machine: Machine, notice: Notice, twists: frozenset[str] = frozenset()) -> Answer:
    """Send now, whatever the schedule says, and change nothing on the books."""
    try:
        return post(notice.url, *request_of(machine, notice, twists))
    except NotOurs as error:
        log.warning("refused to call %s: %s", notice.url, error)
        return Answer(0, f"refused: {error}")


class Notifier:
    """Workers that do what is due: deliveries, and refunds that settle."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int, Callable[[int], None], int]] = []
        self._sequence = itertools.count()
        self._is_stopped = False
        self._threads = [
            threading.Thread(target=self._work, name=f"notify-{number}", daemon=True)
            for number in range(WORKERS)
        ]

    def start(self) -> None:
        """Take up what a restart left waiting."""
        store = self._machine.store
        for notice in store.find(Notice, "state = ? LIMIT ?", NoticeState.WAITING, JOBS_MAX):
            self.send_later(notice.id, notice.next_at or clock.now())
        processing = store.find(Refund, "status = ? LIMIT ?", RefundStatus.PROCESSING, JOBS_MAX)
        for refund in processing:
            self.settle_later(refund)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        with self._wake:
            self._is_stopped = True
            self._heap.clear()
            self._wake.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=ANSWER_SECONDS + 1)

    def send_later(self, notice_id: int, due: float) -> None:
        self._push(due, self._send, notice_id)

    def settle_later(self, refund: Refund) -> None:
        if refund.settle_at is not None:
            self._push(refund.settle_at, self._settle, refund.id)

    def _push(self, due: float, job: Callable[[int], None], row_id: int) -> None:
        with self._wake:
            if self._is_stopped or len(self._heap) >= JOBS_MAX:
                return  # it stays on the books; the next start takes it up
            heapq.heappush(self._heap, (due, next(self._sequence), job, row_id))
            self._wake.notify()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job[0](job[1])
            except Exception:
                log.exception("a notification job failed")

    def _next(self) -> tuple[Callable[[int], None], int] | None:
        with self._wake:
            while not self._is_stopped:
                wait = self._heap[0][0] - clock.now() if self._heap else None
                if wait is not None and wait <= 0:
                    _, _, job, row_id = heapq.heappop(self._heap)
                    return job, row_id
                self._wake.wait(wait)
            return None

    def _send(self, notice_id: int) -> None:
        store = self._machine.store
        notice = store.first(Notice, "id = ?", notice_id)
        if notice is None or notice.state != NoticeState.WAITING:
            return  # its deed was rolled back, or it has been received meanwhile
        try:
            answer = post(notice.url, *request_of(self._machine, notice))
        except NotOurs as error:
            log.warning("refused to call %s: %s", notice.url, error)
            store.update(notice, state=NoticeState.REFUSED, next_at=None, last_answer=str(error))
            store.remember(notice.channel, notice.notify_id, f"拒绝通知 {notice.url}：{error}")
            return
        if not self._is_stopped:
            self._book(notice, answer)

    def _book(self, notice: Notice, answer: Answer) -> None:
        """Write down a try, and plan the next one unless it was received."""
        store = self._machine.store
        waits = WAITS[notice.channel]
        with store.deed():
            notice = store.get(Notice, notice.id)
            shown = f"{answer.status} {answer.text}"[:300]
            attempts = notice.attempts + 1
            if is_received(notice.channel, answer) or notice.state != NoticeState.WAITING:
                state, due = NoticeState.DELIVERED, None
            elif attempts > len(waits):
                state, due = NoticeState.GIVEN_UP, None
            else:
                state = NoticeState.WAITING
                wait = waits[attempts - 1] * self._machine.settings.notify_factor
                due = clock.now() + wait
            store.update(notice, state=state, attempts=attempts, next_at=due, last_answer=shown)
        if due is not None:
            self.send_later(notice.id, due)

    def _settle(self, refund_id: int) -> None:
        refund = self._machine.store.first(Refund, "id = ?", refund_id)
        if refund is None or refund.status != RefundStatus.PROCESSING:
            return
        if refund.settle_at is None or refund.settle_at > clock.now():
            return  # steered by hand meanwhile
        try:
            books.refund_settle(self._machine, refund, refund.settle_as)
        except books.Refused as refused:
            log.info("refund %s: %s", refund.out_refund_no, refused)
