"""Whose message it is: both clients decide alike, on the same messages."""

import base64
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tcmpay_client import NotVerified, verify
from tcmpay_client.webhooks import sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of 32 bytes......").decode()
ID, STAMP = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
# The example of the Standard Webhooks' own libraries.
BODY = b'{"test": 2432232314}'
SIGNED = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
EVENT = json.dumps({"id": "1", "type": "order.paid", "data": {"amount": "30.00"}}).encode()


def headers(signature: str = SIGNED, stamp: object = STAMP, message: str = ID) -> dict[str, str]:
    return {
        "Webhook-Id": message,
        "webhook-timestamp": str(stamp),
        "WEBHOOK-SIGNATURE": signature,
    }


# What came, and why it is refused ("" when it is not).
CASES: dict[str, tuple[list[str], dict[str, str], bytes, int, str]] = {
    "as it was sent": ([SECRET], headers(), BODY, STAMP, ""),
    "five minutes later": ([SECRET], headers(), BODY, STAMP + 300, ""),
    "too late": ([SECRET], headers(), BODY, STAMP + 301, "too_old"),
    "from the future": ([SECRET], headers(), BODY, STAMP - 301, "too_new"),
    "one of several signatures": (
        [SECRET],
        headers(f"{sign(OTHER, ID, STAMP, BODY)} {SIGNED}"),
        BODY,
        STAMP,
        "",
    ),
    "one of several secrets": ([OTHER, SECRET], headers(), BODY, STAMP, ""),
    "another secret": ([OTHER], headers(), BODY, STAMP, "signature"),
    "another body": ([SECRET], headers(), BODY + b" ", STAMP, "signature"),
    "another id": ([SECRET], headers(message="msg_2"), BODY, STAMP, "signature"),
    "another moment": ([SECRET], headers(stamp=STAMP + 1), BODY, STAMP, "signature"),
    "another version": ([SECRET], headers(SIGNED.replace("v1", "v2")), BODY, STAMP, "signature"),
    "no signature": ([SECRET], headers(""), BODY, STAMP, "missing"),
    "half a signature": ([SECRET], headers("v1,"), BODY, STAMP, "signature"),
    "no base64": ([SECRET], headers("v1,%%%"), BODY, STAMP, "signature"),
    "a moment that is none": ([SECRET], headers(stamp="now"), BODY, STAMP, "malformed"),
    "no moment": ([SECRET], headers(stamp=""), BODY, STAMP, "missing"),
    "an id that is no text": ([SECRET], headers(message="\ud800"), BODY, STAMP, "signature"),
    "a signature that is no text": ([SECRET], headers("v1,\ud800"), BODY, STAMP, "signature"),
    "no object": (
        [SECRET],
        headers(sign(SECRET, ID, STAMP, b"[]")),
        b"[]",
        STAMP,
        "malformed",
    ),
}


def test_it_signs_as_the_standard_does():
    assert sign(SECRET, ID, STAMP, BODY) == SIGNED


@pytest.mark.parametrize("case", CASES)
def test_python_decides(case):
    secrets, given, body, now, reason = CASES[case]
    if not reason:
        assert verify(secrets, given, body, now=now)
        return
    with pytest.raises(NotVerified) as refused:
        verify(secrets, given, body, now=now)
    assert refused.value.reason == reason


def test_amounts_of_an_event_are_decimal():
    signed = headers(sign(SECRET, ID, STAMP, EVENT))
    event = verify(SECRET, signed, EVENT, now=STAMP)
    assert f"{event['data']['amount'] + 1:.2f}" == "31.00"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_javascript_decides_alike():
    cases = [
        {"secrets": secrets, "headers": given, "body": body.decode(), "now": now}
        for secrets, given, body, now, _reason in CASES.values()
    ]
    program = """
        import { verifyWebhook } from "./src/index.js";
        let text = "";
        for await (const part of process.stdin) text += part;
        const told = [];
        for (const one of JSON.parse(text)) {
          try {
            await verifyWebhook(one.secrets, one.headers, one.body, { now: one.now });
            told.push("");
          } catch (error) { told.push(error.reason ?? String(error)); }
        }
        console.log(JSON.stringify(told));
    """
    answer = subprocess.run(
        ["node", "--input-type=module", "--eval", program],
        cwd=Path(__file__).parents[1] / "typescript",
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    decided = dict(zip(CASES, json.loads(answer.stdout), strict=True))
    assert decided == {name: case[-1] for name, case in CASES.items()}
