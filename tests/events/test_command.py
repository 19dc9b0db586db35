"""``webhook_endpoint``: endpoints by hand."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.clinic import paid_order
from tests.events.conftest import deliver
from tests.events.receiver import Says
from webhooks.models import WebhookEndpoint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("demo")]


def run(*args: str):
    out = StringIO()
    call_command("webhook_endpoint", *args, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_from_adding_to_replaying(receiver):
    made = run("add", receiver.url, "--types", "order.paid,order.created")
    assert set(made) == {"id", "url", "secret"}
    assert made["secret"].startswith("whsec_")
    order = paid_order()
    deliver()
    assert len(receiver.verified(made["secret"])) == 2
    (listed,) = run("list")
    assert (listed["status"], listed["pending"], listed["reached"]) == ("enabled", 0, 2)
    assert "secret" not in json.dumps(listed)
    assert run("ping", made["id"])["delivered"] is True
    assert run("replay", made["id"], "--after", "1") == {"id": made["id"], "events": 1}
    assert run("replay", made["id"], "--number", order.order_no)["events"] == 2
    assert run("disable", made["id"])["status"] == "disabled"
    with pytest.raises(CommandError, match="ENDPOINT_NOT_ENABLED"):
        run("replay", made["id"], "--after", "0")
    assert run("enable", made["id"])["status"] == "enabled"
    rotated = run("rotate", made["id"])
    assert rotated["url"] == receiver.url
    assert rotated["secret"] != made["secret"]


def test_a_replay_comes_in_order_again_and_by_what_is_asked(receiver, later):
    made = run("add", receiver.url)
    first = paid_order()
    deliver()
    with later(hours=1):
        second = paid_order()
        deliver()
    receiver.got.clear()
    for asked, expected in [
        (("--since", "2026-11-24T02:30:00Z"), {second.id: [1, 2]}),
        (("--until", "2026-11-24T02:30:00Z"), {first.id: [1, 2]}),
        (("--types", "order.paid"), {first.id: [2], second.id: [2]}),
        (("--after", "0"), {first.id: [1, 2], second.id: [1, 2]}),
    ]:
        run("replay", made["id"], *asked)
        deliver()
        for order in (first, second):
            assert receiver.of(order.id) == expected.get(order.id, [])
        receiver.got.clear()


def test_a_ping_that_is_not_taken_fails(receiver):
    made = run("add", receiver.url)
    receiver.answer = lambda _got: Says(status=503)
    with pytest.raises(CommandError):
        run("ping", made["id"])


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/x",
        "https://192.168.1.4/x",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/x",
        "https://intranet/x",
        "http://example.com/x",
        "ftp://example.com/x",
        "https://user:pass@example.com/x",
        "not an address",
    ],
)
def test_addresses_inside_our_network_and_odd_ones_are_refused(url):
    with pytest.raises(CommandError, match="ENDPOINT_ADDRESS_REFUSED"):
        run("add", url)
    assert not WebhookEndpoint.objects.exists()


def test_loopback_is_for_development(settings, receiver):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="ENDPOINT_ADDRESS_REFUSED"):
        run("add", receiver.url)


@pytest.mark.parametrize(
    "args",
    [
        ("add", "https://example.com/x", "--types", "order.nothing"),
        ("disable", "0192f0c1-0000-7000-8000-000000000000"),
        ("disable", "nobody"),
    ],
)
def test_what_is_not_there_is_refused(args):
    with pytest.raises(CommandError):
        run(*args)


@pytest.mark.parametrize("hours", ["nan", "inf", "1e300", "-1", "720.1", "a day"])
def test_an_overlap_is_a_time_within_bounds(receiver, hours):
    made = run("add", receiver.url)
    with pytest.raises(CommandError, match="720"):
        run("rotate", made["id"], f"--overlap-hours={hours}")
    assert run("rotate", made["id"], "--overlap-hours=720")["secret"] != made["secret"]


@pytest.mark.parametrize("after", ["-1", "99999999999999999999", "x"])
def test_a_replay_begins_at_a_sequence(receiver, after):
    made = run("add", receiver.url)
    with pytest.raises(CommandError, match="--after"):
        run("replay", made["id"], f"--after={after}")


def test_an_address_is_registered_once(receiver):
    run("add", receiver.url)
    with pytest.raises(CommandError, match="ENDPOINT_EXISTS"):
        run("add", receiver.url)


def test_a_replay_says_which(receiver):
    made = run("add", receiver.url)
    with pytest.raises(CommandError):
        run("replay", made["id"])
    with pytest.raises(CommandError):
        run("replay", made["id"], "--number", "ORD0")
