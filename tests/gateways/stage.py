"""The stage of these tests: the product's web server, the stand-in gateways, and a hand.

All three are processes; tests speak to them over HTTP and over the hand's pipe, as platforms,
payers and operators do.
"""

import http.client
import json
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

from tcmpay.accounts.services import token_issue
from tcmpay.common.actor import Role
from tests.programs import (
    ENVIRONMENT,
    ROOT,
    running,
    scratch_database,
    stand_in_running,
    web_program,
)
from tests.servers import free_port
from tests.trial.stage import StandInControl

API = "/api/v1/payment"
WAIT_SECONDS_MAX = 20.0
# The stand-in's waits, times the real ones: a notice that was refused comes again at once.
HASTE = ("--notify-factor", "0.002", "--spacing-factor", "0", "--refund-delay", "0.05")
# WeChat's h5 wants the payer's address and refuses the loopback's.
BEHIND_A_PROXY = {"TRUSTED_PROXY_HOPS": "1"}
PAYER_ADDRESS = "14.23.150.211"
OPENID = "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"


@dataclass(frozen=True)
class Person:
    id: uuid.UUID
    token: str = field(repr=False)


def someone(role: Role) -> Person:
    user_id = uuid.uuid4()
    return Person(user_id, token_issue(user_id=user_id, role=role, ttl_seconds=3600))


class Hand:
    """tests.gateways.hand at the other end of a pipe."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._log = (folder / "hand.log").open("ab")
        self._process = Popen(
            [sys.executable, "-m", "tests.gateways.hand"],
            cwd=ROOT,
            env={**_environment(), "DATABASE_URL": database_url},
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._log,
        )

    def do(self, name: str, *, after: float = 0, **arguments: Any) -> Any:
        """Have a deed done, as it would be done ``after`` so many seconds."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([name, after, arguments]).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the hand is gone"}
        assert "error" not in answer, answer["error"]
        return answer["answer"]

    def rows(self, sql: str, *arguments: Any) -> list[list[Any]]:
        return list(self.do("rows", sql=sql, arguments=list(arguments)))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(15)
        self._log.close()


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, **ENVIRONMENT}


class Stage:
    """The running product and its stand-ins."""

    def __init__(self, folder: Path, hand: Hand, web_port: int, stand_in_port: int) -> None:
        self.folder = folder
        self.hand = hand
        self.web_port = web_port
        self.base = f"http://127.0.0.1:{web_port}"
        self.stand_in = StandInControl(stand_in_port)
        self.config = folder / "gateways" / "config.json"
        self.admin = someone(Role.ADMIN)
        self._lock = threading.Lock()

    def configure(self, config: Path | None = None) -> None:
        """From now on new attempts go to the stand-in that ``config`` leads to."""
        self.hand.do("load", file=str(config or self.config), notify_base=self.base)

    # As the platform does -------------------------------------------------------------------

    def send(
        self, verb: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=30)
        try:
            connection.request(verb, target, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, dict(response.headers), response.read()
        finally:
            connection.close()

    def call(self, verb: str, path: str, by: Person, **body: Any) -> tuple[int, dict[str, Any]]:
        headers = {
            "Authorization": f"Bearer {by.token}",
            "Content-Type": "application/json",
            "X-Forwarded-For": PAYER_ADDRESS,
        }
        status, _headers, content = self.send(
            verb, f"{API}/{path}", json.dumps(body).encode() if verb != "GET" else b"", headers
        )
        return status, json.loads(content)

    def ask(self, verb: str, path: str, by: Person, **body: Any) -> Any:
        status, answer = self.call(verb, path, by, **body)
        assert status < 300, answer
        return answer["data"]

    def fund(self, person: Person, amount: str) -> None:
        with self._lock:
            self.hand.do("fund", user_id=str(person.id), amount=amount)

    def buy(self, method: str, scene: str = "", amount: str = "30.00") -> "Purchase":
        """A new person orders and starts to pay."""
        purchase = Purchase(self, someone(Role.PATIENT), amount)
        purchase.start(method, scene)
        return purchase


class Purchase:
    """One order with what its owner, the payer and the staff do about it."""

    def __init__(self, stage: Stage, owner: Person, amount: str) -> None:
        self.stage = stage
        self.owner = owner
        self.amount = amount
        self.order: dict[str, Any] = stage.ask(
            "POST",
            "orders",
            owner,
            user_id=str(owner.id),
            order_type="consultation",
            amount=amount,
            description="问诊",
        )
        self.id: str = self.order["id"]
        self.shown: dict[str, dict[str, Any]] = {}

    def start(self, method: str, scene: str = "", **more: Any) -> dict[str, Any]:
        body = {"order_id": self.id, "payment_method": method} | more
        if scene:
            body["scene"] = scene
        if scene in ("jsapi", "mini_program"):
            body["openid"] = OPENID
        self.shown[method] = self.stage.ask("POST", "pay", self.owner, **body)
        return self.shown[method]

    def trade(self, method: str) -> dict[str, str]:
        """How the stand-in's steering names the newest attempt at ``method``."""
        shown = self.shown[method]
        order_string = (shown["prepay_data"] or {}).get("order_string", "")
        named = {"channel": method, "out_trade_no": self.number(method)}
        if method == "alipay":
            named["url"] = shown["payment_url"] or order_string or ""
        return named

    def number(self, method: str) -> str:
        [[number], *_older] = self.stage.hand.rows(
            "SELECT out_trade_no FROM payment_transactions WHERE order_id = %s AND"
            " payment_method = %s AND transaction_type = 'payment' ORDER BY initiated_at DESC",
            self.key,
            method,
        )
        return str(number)

    @property
    def key(self) -> str:
        """The id as the database writes it."""
        return self.id

    def paid_by(self, method: str) -> None:
        """The payer pays at the stand-in; what it reports of that is not waited for."""
        self.stage.stand_in.ask("pay", **self.trade(method))

    def pay(self, method: str) -> None:
        """The payer pays, and the callback arrives."""
        self.paid_by(method)
        self.wait("paid")

    @property
    def status(self) -> str:
        return str(self.stage.ask("GET", f"orders/{self.id}", self.owner)["status"])

    def wait(self, status: str) -> None:
        wait_until(lambda: self.status == status, lambda: f"order is {self.status}, not {status}")

    def verdicts(self, *numbers: str) -> list[str]:
        found = []
        for number in numbers:
            found += [
                row[0]
                for row in self.stage.hand.rows(
                    "SELECT verdict FROM payment_callbacks WHERE out_trade_no = %s"
                    " ORDER BY received_at",
                    number,
                )
            ]
        return found

    def ask_refund(self, amount: str = "") -> dict[str, Any]:
        """The owner asks for money back, and staff approve it."""
        refund: dict[str, Any] = self.stage.ask(
            "POST",
            "refunds",
            self.owner,
            order_id=self.id,
            refund_amount=amount or self.amount,
            refund_reason="退号",
        )
        self.stage.ask(
            "PUT", f"admin/refunds/{refund['id']}/review", self.stage.admin, approved=True
        )
        return refund

    def refunds(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.stage.ask(
            "GET", f"refunds?order_id={self.id}", self.owner
        )["refunds"]
        return found

    def wait_for_refund(self, status: str = "success", *, after: float = 0) -> dict[str, Any]:
        """Have the worker run until the only refund is ``status``; the refund."""

        def is_there() -> bool:
            self.stage.hand.do("refunds", after=after)
            return [refund["status"] for refund in self.refunds()] == [status]

        wait_until(is_there, lambda: f"refunds are {self.refunds()}, not {status}")
        return self.refunds()[0]

    def exceptions(self) -> list[tuple[str, bool]]:
        """The cases for staff: kind, and whether it is closed."""
        rows = self.stage.hand.rows(
            "SELECT kind, closed_at FROM payment_exceptions WHERE order_id = %s ORDER BY opened_at",
            self.key,
        )
        return [(kind, closed_at is not None) for kind, closed_at in rows]

    def theirs(self, method: str) -> dict[str, Any]:
        """The stand-in's book of the newest attempt."""
        number = self.number(method)
        [trade] = [
            trade
            for trade in self.stage.stand_in.read("books")["payments"]
            if (trade["channel"], trade["out_trade_no"]) == (method, number)
        ]
        return dict(trade)

    def their_refunds(self, method: str) -> list[dict[str, Any]]:
        number = self.number(method)
        return [
            refund
            for refund in self.stage.stand_in.read("books")["refunds"]
            if (refund["channel"], refund["out_trade_no"]) == (method, number)
        ]


def wait_until(is_true: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not is_true():
        assert time.monotonic() < deadline, what()
        time.sleep(0.03)


@contextmanager
def stand_ins(folder: Path, *options: str) -> Iterator[int]:
    """Stand-ins of their own, with keys in ``folder``; the port."""
    port = free_port()
    with stand_in_running(folder, port=port, options=[*HASTE, *options]):
        yield port


@contextmanager
def stage_open(folder: Path, server: str, options: Sequence[str] = ()) -> Iterator[Stage]:
    with ExitStack() as stack:
        url = stack.enter_context(scratch_database(folder, server))
        hand = Hand(folder, url)
        stack.callback(hand.close)
        port = stack.enter_context(stand_ins(folder / "gateways", *options))
        hand.do("migrate")
        web_port = free_port()
        stage = Stage(folder, hand, web_port, port)
        stage.configure()
        web = web_program(
            folder, port=web_port, environment={"DATABASE_URL": url, **BEHIND_A_PROXY}
        )
        stack.enter_context(running(web, web_port))
        console = f"{stage.base}/payment/callback/wechat"
        stage.stand_in.ask("settings", console_refund_notify_url=console)
        yield stage
