"""What is tried again, how often and with which key: both clients alike, at a server of lines."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tcmpay_client import NoAnswer, Patience, Refused, Tcmpay

ORDER: Any = {"user_id": "u", "order_type": "other", "amount": "1.00"}


class Desk(ThreadingHTTPServer):
    """Answers what ``plan`` says, one after the other; "cut" hangs up."""

    plan: list[Any]
    asked: list[tuple[str, str | None]]


class _Answering(BaseHTTPRequestHandler):
    server: Desk

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append((self.command, self.headers.get("Idempotency-Key")))
        step = self.server.plan.pop(0)
        if step == "cut":
            self.connection.close()
            return
        status, code, more = step
        body = json.dumps(
            {"success": status < 400, "code": code, "message": "", "data": {"id": "1"}}
        ).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **more}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def desk() -> Iterator[Desk]:
    server = Desk(("127.0.0.1", 0), _Answering)
    server.plan, server.asked = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def python_calls(desk: Desk, call: str) -> tuple[str, list[float]]:
    waits: list[float] = []
    pay = Tcmpay(f"http://127.0.0.1:{desk.server_port}", "t", sleep=waits.append)
    calls = {
        "create": lambda: pay.create_order(ORDER),
        "read": lambda: pay.get_order("1"),
        "cancel": lambda: pay.cancel_order("1"),
        "sync": lambda: pay.sync_order("1"),
    }
    try:
        calls[call]()
    except Refused as refused:
        return refused.code, waits
    except NoAnswer:
        return "no answer", waits
    return "done", waits


def javascript_calls(desk: Desk, call: str) -> tuple[str, list[float]]:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    program = """
        import { Refused, Tcmpay } from "./src/index.js";
        const waits = [];
        const [base, call] = process.argv.slice(1);
        const pay = new Tcmpay({ baseUrl: base, token: "t", sleep: async (s) => waits.push(s) });
        const calls = {
          create: () => pay.createOrder({ user_id: "u", order_type: "other", amount: "1.00" }),
          read: () => pay.getOrder("1"),
          cancel: () => pay.cancelOrder("1"),
          sync: () => pay.syncOrder("1"),
        };
        const told = await calls[call]().then(
          () => "done", (error) => (error instanceof Refused ? error.code : "no answer"));
        console.log(JSON.stringify([told, waits]));
    """
    base = f"http://127.0.0.1:{desk.server_port}"
    answer = subprocess.run(
        ["node", "--input-type=module", "--eval", program, base, call],
        cwd=Path(__file__).parents[1] / "typescript",
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told, waits = json.loads(answer.stdout)
    return told, waits


OK: Any = (200, "", {})
BUSY: Any = (503, "SERVICE_UNAVAILABLE", {})
SLOWER = (429, "RATE_LIMITED", {"Retry-After": "7"})
MUCH_SLOWER = (429, "RATE_LIMITED", {"Retry-After": "3600"})
RUNNING: Any = (409, "IDEMPOTENCY_IN_PROGRESS", {})
# What is called, what is answered, what comes of it, and how often it was asked.
CASES: dict[str, tuple[str, list[Any], str, int]] = {
    "a service that is busy for a moment": ("create", [BUSY, BUSY, OK], "done", 3),
    "an answer that got lost": ("create", ["cut", OK], "done", 2),
    "the first one still running": ("create", [RUNNING, OK], "done", 2),
    "busy for good": ("create", [BUSY] * 4, "SERVICE_UNAVAILABLE", 4),
    "a limit": ("create", [SLOWER, OK], "done", 2),
    "a limit for an hour": ("create", [MUCH_SLOWER], "RATE_LIMITED", 1),
    "a gateway's no": ("create", [(502, "GATEWAY_ERROR", {})], "GATEWAY_ERROR", 1),
    "a decided no": ("create", [(400, "INSUFFICIENT_BALANCE", {})], "INSUFFICIENT_BALANCE", 1),
    "reading": ("read", ["cut", BUSY, OK], "done", 3),
    "what has no key is not made twice": ("cancel", [BUSY], "SERVICE_UNAVAILABLE", 1),
    "nor when the answer got lost": ("sync", ["cut"], "no answer", 1),
    "but a limit means that nothing was done": ("cancel", [SLOWER, OK], "done", 2),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("client", [python_calls, javascript_calls])
def test_it_tries_again_where_that_is_safe(desk, client, case):
    call, plan, expected, times = CASES[case]
    desk.plan = list(plan)
    told, waits = client(desk, call)
    assert told == expected
    assert len(desk.asked) == times
    keys = {key for _method, key in desk.asked}
    assert len(keys) == 1, "one intent, one key"
    assert (keys == {None}) == (call != "create")
    assert len(waits) == times - 1
    if SLOWER in plan:
        assert all(7 <= wait < 8 for wait in waits)
    else:
        assert all(0.25 <= wait <= 0.5 * 2**number for number, wait in enumerate(waits))


def test_each_intent_has_a_key_of_its_own_unless_one_is_given(desk):
    desk.plan = [OK, OK, OK]
    pay = Tcmpay(f"http://127.0.0.1:{desk.server_port}", "t")
    pay.create_order(ORDER)
    pay.create_order(ORDER)
    pay.create_order(ORDER, idempotency_key="mine")
    first, second, third = (key for _method, key in desk.asked)
    assert first != second
    assert third == "mine"


def test_a_refusal_tells_the_key_to_try_again_with(desk):
    desk.plan = [BUSY]
    pay = Tcmpay(f"http://127.0.0.1:{desk.server_port}", "t", patience=Patience(attempts=1))
    with pytest.raises(Refused) as refused:
        pay.create_order(ORDER)
    assert refused.value.idempotency_key == desk.asked[0][1]


def test_a_token_follows_no_redirect(desk):
    desk.plan = [(302, "", {"Location": "https://evil.test/"})]
    pay = Tcmpay(f"http://127.0.0.1:{desk.server_port}", "t", patience=Patience(attempts=1))
    with pytest.raises(Refused):
        pay.get_order("1")
    assert len(desk.asked) == 1
