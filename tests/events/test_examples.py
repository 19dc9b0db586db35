"""The receivers in docs/examples, as they are printed, against the product."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings

from tcmpay.accounts.services.tokens import token_issue
from tcmpay.common.actor import SYSTEM, Role
from tests.clinic import paid_order
from tests.events.conftest import deliver
from tests.servers import free_port
from webhooks.models import WebhookDelivery, WebhookTry
from webhooks.services.endpoints import endpoint_add, endpoint_rotate
from webhooks.services.pinging import endpoint_ping
from webhooks.services.replay import Which, endpoint_replay

EXAMPLES = Path(settings.BASE_DIR) / "docs/examples"
LANGUAGES = {
    "python": [sys.executable, str(EXAMPLES / "webhook_receiver.py")],
    "node": ["node", str(EXAMPLES / "webhook_receiver.mjs")],
}


@pytest.fixture(params=LANGUAGES)
def program(request) -> list[str]:
    command = LANGUAGES[request.param]
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on this machine")
    return command


@contextmanager
def serving(program: list[str], port: int, **environment: str) -> Iterator[None]:
    process = subprocess.Popen([*program, "serve", str(port)], env={**os.environ, **environment})
    try:
        for _look in range(600):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(60)


def known(port: int, object_id: object) -> list[dict]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/objects/{object_id}") as answer:
        return json.load(answer)


@pytest.mark.django_db
@pytest.mark.usefixtures("demo")
def test_it_believes_us_alone_and_keeps_the_newest(program, tmp_path):
    port = free_port()
    made = endpoint_add(actor=SYSTEM, url=f"http://127.0.0.1:{port}/hooks")
    where = {"actor": SYSTEM, "endpoint_id": made.endpoint.id}
    environment = {"WEBHOOK_SECRET": made.secret, "DATABASE": str(tmp_path / "objects")}
    with serving(program, port, **environment):
        assert endpoint_ping(**where).is_success
        order = paid_order()
        deliver()
        endpoint_replay(**where, which=Which(types=["order.created"]))  # the older one again
        deliver()
        (event,) = known(port, order.id)
        assert (event["object_version"], event["data"]["status"]) == (2, "paid")
        endpoint_rotate(**where)  # it still has the former secret
        assert endpoint_ping(**where).is_success
    with serving(program, port, **environment):  # what was answered is still there
        assert [one["id"] for one in known(port, order.id)] == [event["id"]]
        forged = urllib.request.Request(
            f"http://127.0.0.1:{port}/hooks",
            data=b"{}",
            headers={
                "webhook-id": "x",
                "webhook-timestamp": str(int(time.time())),
                "webhook-signature": "v1,AAAA",
            },
        )
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(forged)
        assert refused.value.code == 401
    assert not WebhookDelivery.objects.exclude(status="delivered").exists()
    assert set(WebhookTry.objects.values_list("http_status", flat=True)) == {200}


@pytest.mark.django_db
@pytest.mark.usefixtures("demo")
def test_it_rebuilds_from_the_feed(program, tmp_path, live_server):
    orders = [paid_order() for _number in range(3)]
    deliver()
    database = str(tmp_path / "objects")
    token = token_issue(user_id=orders[0].user_id, role=Role.SERVICE, ttl_seconds=600)
    environment = {**os.environ, "TCMPAY_TOKEN": token, "DATABASE": database}
    read = subprocess.run(
        [*program, "rebuild", live_server.url], env=environment, capture_output=True, timeout=60
    )
    assert (read.stdout.strip(), read.stderr) == (b"6", b"")
    port = free_port()
    with serving(program, port, WEBHOOK_SECRET="whsec_x", DATABASE=database):
        for order in orders:
            (event,) = known(port, order.id)
            assert event["data"]["status"] == "paid"
