"""A request's id goes through the queue to the worker, its lines and the gateway's call."""

import io
import json
import logging

import pytest
from celery import shared_task
from celery.signals import task_postrun, task_prerun
from structlog.contextvars import get_contextvars

from tcmpay.celery import REQUEST_HEADER, _name_the_request, app
from tcmpay.common.request_id import current_request_id, set_request_id

SEEN: list[tuple[str, dict[str, object]]] = []


@shared_task(name="tests.see_request")
def see_request() -> None:
    SEEN.append((current_request_id(), dict(get_contextvars())))
    logging.getLogger("celery.task").warning("here, password=CanarySecretOfATask")


@pytest.fixture(autouse=True)
def _nothing_seen():
    SEEN.clear()
    set_request_id("")
    yield
    set_request_id("")


def worked(task_id: str, **headers: str) -> None:
    """As a worker does it."""
    task = app.tasks["tests.see_request"]
    task.push_request(id=task_id, **headers)
    try:
        task_prerun.send(sender=task, task=task, task_id=task_id)
        task.run()
        task_postrun.send(sender=task, task=task, task_id=task_id, state="SUCCESS")
    finally:
        task.pop_request()


def test_what_a_request_rings_for_carries_its_id():
    headers: dict[str, object] = {}
    _name_the_request(headers=headers)
    assert headers == {}, "a sweep was asked for by nobody"
    set_request_id("asked-1")
    _name_the_request(headers=headers)
    assert headers == {REQUEST_HEADER: "asked-1"}


def test_the_worker_goes_by_it_and_forgets_it():
    worked("task-1", **{REQUEST_HEADER: "asked-1"})
    [(request_id, logged)] = SEEN
    assert request_id == "asked-1"
    assert (logged["request_id"], logged["task"]) == ("asked-1", "tests.see_request")
    assert current_request_id() == ""
    assert "task" not in get_contextvars()


def test_a_sweep_goes_by_its_task_s_own_id():
    worked("task-1")
    assert SEEN[0][0] == "task-1"


def test_a_worker_s_own_lines_are_json_without_secrets():
    handler = next(h for h in logging.getLogger().handlers if type(h) is logging.StreamHandler)
    stream = io.StringIO()
    before = handler.setStream(stream)
    try:
        worked("task-1")
    finally:
        handler.setStream(before)
    line = json.loads(stream.getvalue().splitlines()[-1])
    assert (line["logger"], line["task"]) == ("celery.task", "tests.see_request")
    assert "Canary" not in stream.getvalue()
