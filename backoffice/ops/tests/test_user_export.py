"""All that is held about one user, and nothing about another."""

import json
import stat
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tcmpay.audit.models import AuditEvent
from tests.audit.books import violations
from tests.audit.lively import Clinic, gateways

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(settings):
    settings.MOCK_CALLBACKS, settings.ORDER_PRICE_POLICY = False, "open"
    settings.SNAPSHOT_DATABASE = "default"  # this connection alone sees the rows
    with gateways():
        ours, another = Clinic(), Clinic()
        for clinic in (ours, another):
            order = clinic.paid("wechat")
            clinic.approved(clinic.asked_back(order, "9.00"))
    return ours, another


def _exported(clinic: Clinic, path: Path) -> str:
    who = str(clinic.patient.id)
    call_command("export_user", "--user", who, "--reason", "本人申请", "--out", str(path))
    return path.read_text(encoding="utf-8")


def test_everything_about_a_user_is_in_the_file(two, tmp_path: Path):
    ours, another = two
    text = _exported(ours, tmp_path / "user.json")
    rows = json.loads(text)["rows"]
    assert {row["table"] for row in rows} >= {
        "payment_orders", "payment_transactions", "payment_callbacks", "payment_callback_bodies",
        "refund_records", "refund_approvals", "webhook_events", "audit_events",
    }  # fmt: skip
    assert str(another.patient.id) not in text
    assert stat.S_IMODE((tmp_path / "user.json").stat().st_mode) == 0o600


def test_the_trail_keeps_who_and_why(two, tmp_path: Path):
    before = violations()
    _exported(two[0], tmp_path / "user.json")
    event = AuditEvent.objects.get(action="user_data_exported")
    assert event.object_id == str(two[0].patient.id)
    assert event.reason == "本人申请"
    assert event.actor_name.startswith("os:")
    assert event.details["payment_orders"] == 1
    assert violations() == before


def test_no_file_is_written_over_and_none_is_left_by_half(two, tmp_path: Path):
    there = tmp_path / "there.json"
    there.write_text("mine")
    with pytest.raises(CommandError):
        _exported(two[0], there)
    assert there.read_text() == "mine"
    with pytest.raises(CommandError):
        call_command("export_user", "--user", "x", "--reason", "a", "--out", str(tmp_path / "x"))
    who = str(two[0].patient.id)
    with pytest.raises(CommandError):
        call_command("export_user", "--user", who, "--reason", " ", "--out", str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()
