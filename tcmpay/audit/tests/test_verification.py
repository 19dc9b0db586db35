"""The page that follows the chains: it finds the first broken row, and changes nothing."""

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db.transaction import atomic
from django.test import Client
from django.urls import reverse

from tcmpay.accounts.models import StaffUser
from tcmpay.audit import verification
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.services import audit_record
from tcmpay.audit.verification import days_verify, object_verify
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _one_connection(settings) -> None:
    """The snapshot's own connection would not see what the test's transaction wrote."""
    settings.SNAPSHOT_DATABASE = "default"


def tell(kind: str, key: str, times: int = 3) -> None:
    with atomic():
        for number in range(times):
            audit_record(
                object_type=kind, object_id=key, action=f"step{number}", actor=SYSTEM, reason="x"
            )


@pytest.fixture
def chains() -> None:
    for kind, key in (("order", "a"), ("order", "b"), ("refund", "a")):
        tell(kind, key)


def of(kind: str, key: str, version: int):
    return AuditEvent.objects.filter(object_type=kind, object_id=key, version=version)


def test_sound_chains_are_counted(chains):
    report = days_verify(clock.today(), clock.today())
    assert (report.chains, report.events, report.is_sound) == (3, 9, True)
    assert report.resume_after is None
    assert object_verify("order", "a").events == 3
    assert object_verify("order", "unknown").chains == 0


@pytest.mark.parametrize(
    ("breach", "version"),
    [
        (lambda: of("order", "b", 2).update(reason="y"), 2),
        (lambda: of("order", "b", 1).update(details={"a": 1}), 1),
        (lambda: of("order", "b", 3).update(previous_hash="0" * 64), 3),
        (lambda: of("order", "b", 2).delete(), 3),
        (lambda: of("order", "b", 1).delete(), 2),
        (lambda: of("order", "b", 2).update(actor_name="somebody else"), 2),
    ],
)
def test_the_first_broken_row_is_named(chains, breach, version):
    breach()
    for report in (days_verify(clock.today(), clock.today()), object_verify("order", "b")):
        assert [(row.object_id, row.version) for row in report.broken] == [("b", version)]


def test_days_are_judged_by_whole_chains(chains):
    """A change of an old row shows when the object was touched lately."""
    of("order", "b", 1).update(created_at=clock.now() - timedelta(days=40))
    report = days_verify(clock.today(), clock.today())
    assert [row.version for row in report.broken] == [1]
    assert (
        days_verify(clock.today() - timedelta(days=9), clock.today() - timedelta(days=8)).chains
        == 0
    )


@pytest.mark.parametrize(("name", "value"), [("OBJECTS_MAX", 1), ("EVENTS_MAX", 1)])
def test_a_bounded_look_goes_on_where_it_ended(chains, monkeypatch, name, value):
    monkeypatch.setattr(verification, name, value)
    monkeypatch.setattr(verification, "OBJECTS_AT_ONCE", 1)
    after, seen = None, 0
    for _look in range(10):
        report = days_verify(clock.today(), clock.today(), after=after)
        seen += report.chains
        after = report.resume_after
        if after is None:
            break
    assert seen == 3


def test_fifty_broken_chains_are_enough_for_one_look(monkeypatch):
    monkeypatch.setattr(verification, "OBJECTS_AT_ONCE", 1)
    for number in range(60):
        tell("order", f"{number:02}", times=1)
    AuditEvent.objects.update(reason="y")
    report = days_verify(clock.today(), clock.today())
    assert (len(report.broken), report.resume_after) == (50, ("order", "49"))
    rest = days_verify(clock.today(), clock.today(), after=report.resume_after)
    assert (len(rest.broken), rest.resume_after) == (10, None)


def browser_of(role: str) -> Client:
    person = StaffUser.objects.create_user(role, is_staff=True)
    person.groups.set([Group.objects.get(name=role)])
    client = Client()
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    ("role", "status"), [("auditor", 200), ("administrator", 200), ("finance", 403)]
)
def test_who_may_verify(role, status):
    client = browser_of(role)
    assert client.get(reverse("admin:audit_auditevent_verify")).status_code == status


def test_the_page_says_what_it_found_and_what_is_missing(chains):
    client = browser_of("auditor")
    page = reverse("admin:audit_auditevent_verify")
    today = clock.today().isoformat()
    before = AuditEvent.objects.count()
    assert "全部完好" in client.get(page, {"first": today, "last": today}).content.decode()
    of("order", "b", 2).update(reason="y")
    found = client.get(page, {"first": today, "last": today}).content.decode()
    assert "已损坏" in found
    assert str(of("order", "b", 2).get().pk) in found
    for query, text in (
        ({"object_id": "a"}, "请选择对象类型"),
        ({"object_type": "order"}, "请填写对象编号"),
        ({"first": today}, "请填写一个对象，或一个日期范围"),
        ({"first": "2026-01-01", "last": "2026-12-31"}, "一次最多校验"),
        ({"first": today, "last": "2020-01-01"}, "结束日期早于开始日期"),
    ):
        assert text in client.get(page, query).content.decode(), query
    assert client.post(page).status_code == 405
    assert AuditEvent.objects.count() == before


def test_the_list_and_the_event_lead_to_it(chains):
    client = browser_of("auditor")
    listed = client.get(reverse("admin:audit_auditevent_changelist")).content.decode()
    assert "校验链" in listed
    event = of("order", "b", 2).get()
    page = client.get(reverse("admin:audit_auditevent_change", args=[event.pk])).content.decode()
    assert "object_type=order&amp;object_id=b" in page
