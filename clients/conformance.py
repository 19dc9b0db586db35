"""Does a platform deal rightly with the payment service? Run it against the demo, not production.

    python clients/conformance.py --base http://localhost:3000 --gateways http://localhost:3001 \\
        --service-token "$SERVICE" --patient-id ID --patient-token "$PATIENT" \\
        --webhook http://localhost:4000/webhooks --secret whsec_... \\
        --status "http://localhost:4000/orders/{order_id}"

Each part is left out where its arguments are: the calls (an order from its beginning to its refund,
paid at the stand-in gateways), the platform's receiver of webhooks (what it takes and what it must
refuse), and with --status the whole way: the platform's own address for an order, which answers
JSON with a "status", must say "paid" after the order was paid. Prints a line for each check; exit 1
when one failed. Needs Python 3.11 and nothing else.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "python" / "src"))

from tcmpay_client import NoAnswer, Refused, Tcmpay
from tcmpay_client.webhooks import sign

# A receiver that takes longer is asked again: work goes into its own queue.
ANSWER_SECONDS_MAX = 10.0
ARRIVAL_SECONDS_MAX = 60.0


class Report:
    """Prints each check and remembers what failed."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed: list[str] = []

    @contextmanager
    def check(self, what: str) -> Iterator[None]:
        """What is raised inside fails this check, and only this."""
        try:
            yield
        except (AssertionError, Refused, NoAnswer, OSError, KeyError, ValueError) as error:
            self.failed.append(what)
            print(f"FAILED  {what}: {error}", flush=True)
        else:
            self.passed += 1
            print(f"passed  {what}", flush=True)


def expect(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise AssertionError(otherwise)


def within(seconds: float, ask: Callable[[], Any], is_done: Callable[[Any], bool]) -> Any:
    until = time.monotonic() + seconds
    while True:
        found = ask()
        if is_done(found) or time.monotonic() > until:
            return found
        time.sleep(1)


# --- the calls ----------------------------------------------------------------------------------


def check_calls(report: Report, asked: argparse.Namespace) -> str | None:
    """An order from its beginning to its refund. Returns the paid order's id."""
    service = Tcmpay(asked.base, asked.service_token)
    patient = Tcmpay(asked.base, asked.patient_token)
    body: Any = {
        "user_id": asked.patient_id,
        "order_type": "consultation",
        "amount": Decimal("12.34"),
    }
    key, made = str(uuid.uuid4()), []
    with report.check("the platform's back end creates an order for a patient"):
        made.append(service.create_order(body, idempotency_key=key))
        expect(made[0]["status"] == "pending", made[0]["status"])
    if not made:
        return None
    order = made[0]
    with report.check("a repeated request is the same order"):
        again = service.create_order(body, idempotency_key=key)
        expect(again["id"] == order["id"], "a second order")
    with report.check("the key of one request is refused for another"):
        expect_code(
            "IDEMPOTENCY_KEY_REUSED",
            lambda: service.create_order(body | {"amount": Decimal("1.00")}, idempotency_key=key),
        )
    with report.check("the back end's token pays nothing"):
        start: Any = {"order_id": order["id"], "payment_method": "wechat"}
        expect_code("FORBIDDEN", lambda: service.pay_order(start))
    with report.check("the patient starts a payment and gets a code to show"):
        code = patient.pay_order(start)["qr_code"]
        expect(bool(code), "no qr_code")
    with report.check("an order that was paid at the gateway becomes paid"):
        pay_at(asked.gateways, order["order_no"])
        paid = service.wait_for_order(order["id"], seconds_max=ARRIVAL_SECONDS_MAX)
        expect(paid["status"] == "paid", paid["status"])
    with report.check("the feed of events tells what happened, in order"):
        told = within(
            ARRIVAL_SECONDS_MAX,
            lambda: [
                (event["type"], event["object_version"])
                for event in service.events(types="order.created,order.paid")
                if event["object_id"] == order["id"]
            ],
            lambda found: len(found) == 2,
        )
        expect([kind for kind, _version in told] == ["order.created", "order.paid"], str(told))
        expect(told[0][1] < told[1][1], f"versions {told}")
    with report.check("a paid order is not paid again"):
        expect_code("ORDER_NOT_PAYABLE", lambda: patient.pay_order(start))
    with report.check("the back end asks for a part of it back, and takes that back"):
        part: Any = {
            "order_id": order["id"],
            "refund_amount": Decimal("2.34"),
            "refund_reason": "conformance",
        }
        refund = service.request_refund(part)
        expect(refund["status"] == "pending", refund["status"])
        left = service.get_order(order["id"])["refundable_amount"]
        expect(left == Decimal("10.00"), f"{left} may be asked back still")
        expect(service.withdraw_refund(refund["id"])["status"] == "cancelled", "not withdrawn")
    with report.check("the back end cancels an order that nobody paid"):
        other = service.create_order(body)
        service.cancel_order(other["id"])
        expect(service.get_order(other["id"])["status"] == "cancelled", "not cancelled")
    with report.check("a list by cursor has both orders"):
        listed = {one["id"] for one in service.orders(ids=f"{order['id']},{other['id']}")}
        expect(listed == {order["id"], other["id"]}, str(listed))
    return order["id"]


def expect_code(code: str, call: Callable[[], object]) -> None:
    try:
        call()
    except Refused as refused:
        expect(refused.code == code, f"{refused.code} instead of {code}")
    else:
        raise AssertionError(f"done instead of refused with {code}")


def pay_at(gateways: str, order_no: str) -> None:
    """The payer pays at the stand-in, which then tells the payment service."""
    told = json.dumps({"channel": "wechat", "out_trade_no": order_no}).encode()
    request = urllib.request.Request(f"{gateways.rstrip('/')}/_control/pay", told, method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        expect(answer.status == 200, f"the stand-in answered {answer.status}")


# --- the receiver ---------------------------------------------------------------------------------


def event_of(kind: str, *, version: int = 2, order_id: str = "", number: int = 1) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "sequence": number,
        "type": kind,
        "created_at": "2026-12-01T02:00:00.000000Z",
        "object_type": "order",
        "object_id": order_id or str(uuid.uuid4()),
        "object_version": version,
        "data": {"status": "paid", "amount": "30.00"},
    }


def deliver(
    asked: argparse.Namespace,
    event: dict[str, Any],
    *,
    secret: str = "",
    age: int = 0,
    sent: bytes | None = None,
    leave_out: str = "",
) -> int:
    """The status that the receiver answers to ``event``; ``sent`` goes out instead of what was
    signed."""
    body = json.dumps(event).encode()
    stamp = int(time.time()) - age
    headers = {
        "Content-Type": "application/json",
        "webhook-id": event["id"],
        "webhook-timestamp": str(stamp),
        "webhook-signature": sign(secret or asked.secret, event["id"], stamp, body),
    }
    headers.pop(leave_out, None)
    request = urllib.request.Request(asked.webhook, sent or body, headers, method="POST")
    begun = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        status = error.code
    took = time.monotonic() - begun
    expect(took < ANSWER_SECONDS_MAX, f"answered after {took:.0f} s")
    return status


def check_receiver(report: Report, asked: argparse.Namespace) -> None:
    order_id = str(uuid.uuid4())
    paid = event_of("order.paid", order_id=order_id, version=2)
    older = event_of("order.created", order_id=order_id, version=1)
    taken: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("takes an event that is rightly signed", paid, {}),
        ("takes the same event again (it was delivered twice)", paid, {}),
        ("takes an older event of the same object, and drops it", older, {}),
        ("takes a type that it does not know", event_of("something.new"), {}),
    ]
    refused: list[tuple[str, dict[str, Any]]] = [
        ("another secret", {"secret": "whsec_" + "A" * 43 + "="}),
        ("a body that was changed on the way", {"sent": b'{"type": "order.paid"}'}),
        ("a message of an hour ago", {"age": 3600}),
        ("a message without a signature", {"leave_out": "webhook-signature"}),
        ("a message without its moment", {"leave_out": "webhook-timestamp"}),
    ]
    for what, event, how in taken:
        with report.check(f"the receiver {what}"):
            status = deliver(asked, event, **how)
            expect(200 <= status < 300, f"answered {status}")
    for what, how in refused:
        with report.check(f"the receiver refuses {what}"):
            status = deliver(asked, event_of("order.paid"), **how)
            expect(400 <= status < 500, f"answered {status}")


def check_whole_way(report: Report, asked: argparse.Namespace, order_id: str) -> None:
    address = asked.status.replace("{order_id}", order_id)

    def told() -> str:
        try:
            with urllib.request.urlopen(address, timeout=ANSWER_SECONDS_MAX) as answer:
                return str(json.load(answer).get("status"))
        except urllib.error.HTTPError as error:
            return f"HTTP {error.code}"

    with report.check("the platform knows that the order was paid, by the event alone"):
        status = within(ARRIVAL_SECONDS_MAX, told, lambda found: found == "paid")
        expect(status == "paid", f"it says {status}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("base", "gateways", "service-token", "patient-id", "patient-token"):
        parser.add_argument(f"--{name}")
    for name in ("webhook", "secret", "status"):
        parser.add_argument(f"--{name}")
    asked = parser.parse_args(arguments)
    report, order_id = Report(), None
    calls = (asked.base, asked.gateways, asked.service_token, asked.patient_id, asked.patient_token)
    if any(calls) and not all(calls):
        parser.error(
            "the calls need --base, --gateways, --service-token, --patient-id, --patient-token"
        )
    if bool(asked.webhook) != bool(asked.secret):
        parser.error("the receiver needs --webhook and --secret")
    if asked.status and not all(calls):
        parser.error("--status needs an order that is paid: give the calls' arguments, too")
    if all(calls):
        order_id = check_calls(report, asked)
    if asked.webhook:
        check_receiver(report, asked)
    if asked.status and order_id:
        check_whole_way(report, asked, order_id)
    print(f"{report.passed} passed, {len(report.failed)} failed")
    if not report.passed and not report.failed:
        parser.error("nothing to check: see --help")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
