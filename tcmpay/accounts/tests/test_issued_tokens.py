"""A token made at the machine leaves a trace: who, for whom, as what and for how long."""

import io
import logging
import os
import pwd
import uuid

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError

from tcmpay.audit.models import AuditEvent
from tcmpay.common import operator as operators
from tcmpay.common.actor import Role
from tcmpay.common.operator import operator_actor

pytestmark = pytest.mark.django_db

USER = uuid.UUID("0192f0c1-0000-7000-8000-000000000101")
LOGGER = "tcmpay.accounts.services.tokens"


def issue(**options) -> str:
    out = io.StringIO()
    call_command("issue_token", user=str(USER), role="admin", ttl_seconds=90, stdout=out, **options)
    return out.getvalue().strip()


def test_a_token_is_on_record_without_itself(caplog):
    with caplog.at_level(logging.INFO):
        token = issue()
    event = AuditEvent.objects.get(action="token_issued_by_hand")
    account = pwd.getpwuid(os.getuid()).pw_name
    assert (event.object_id, event.actor_role) == (str(USER), Role.SYSTEM)
    assert account in event.actor_name
    assert event.details == {"role": "admin", "ttl_seconds": 90}
    (line,) = [record for record in caplog.records if record.name == LOGGER]
    assert account in line.operator
    assert (line.user_id, line.role, line.ttl_seconds) == (str(USER), "admin", 90)
    told = [str(vars(record)) for record in caplog.records]
    kept = [str(row) for row in AuditEvent.objects.values()]
    assert not any(part in text for part in token.split(".") for text in told + kept)


def test_it_prints_the_token_and_nothing_else():
    assert len(issue().split(".")) == 3
    assert "\n" not in issue()


def test_without_a_record_there_is_no_token(monkeypatch):
    def fail(**_fields):
        raise DatabaseError("no such table")

    monkeypatch.setattr("tcmpay.accounts.services.tokens.audit_record", fail)
    out = io.StringIO()
    with pytest.raises(CommandError, match="no record, no token"):
        call_command("issue_token", user=str(USER), role="admin", ttl_seconds=90, stdout=out)
    assert out.getvalue() == ""


def test_the_operator_is_who_logged_in_whatever_the_environment_says(monkeypatch, tmp_path):
    login = tmp_path / "loginuid"
    monkeypatch.setattr(operators, "_LOGIN_UID", login)
    for name in ("USER", "LOGNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "somebody-else")
    account, other = pwd.getpwuid(os.getuid()).pw_name, pwd.getpwnam("nobody")
    assert operator_actor().name == f"os:{account}"
    login.write_text(str(2**32 - 1))
    assert operator_actor().name == f"os:{account}"
    login.write_text(str(other.pw_uid))
    assert operator_actor().name == f"os:nobody as {account}"
    login.write_text("4000000000")
    assert operator_actor().name == f"os:4000000000 as {account}"
