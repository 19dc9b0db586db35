"""What the demo leaves in its folder keeps it from nothing when it is damaged."""

import fcntl
import json

import pytest
from django.core.management.base import CommandError

from backoffice.management.commands.demo import discard_damaged_messages, take_lock

DAMAGED = {"zeroed": b"", "cut": b'{"body": "W1', "bytes": bytes(range(256)), "deep": b"[" * 99_999}


@pytest.mark.parametrize("damage", DAMAGED)
@pytest.mark.parametrize("place", ["messages/1.celery.msg", "control/celery.exchange"])
def test_a_damaged_message_is_thrown_away_and_named(tmp_path, place, damage):
    for folder in ("messages", "control"):
        (tmp_path / folder).mkdir()
    good = tmp_path / "messages" / "2.celery.msg"
    good.write_text(json.dumps({"body": ""}))
    bad = tmp_path / place
    bad.write_bytes(DAMAGED[damage])
    assert discard_damaged_messages(tmp_path) == [bad.name]
    assert not bad.exists()
    assert good.exists()


def test_a_folder_that_is_not_there_yet_has_nothing_to_throw_away(tmp_path):
    assert discard_damaged_messages(tmp_path / "broker") == []


@pytest.mark.parametrize("text", ["", "nonsense 12x", "9" * 50, "\x00"])
def test_a_damaged_lock_still_tells_that_a_demo_runs(tmp_path, text):
    path = tmp_path / "lock"
    path.write_text(text)
    with path.open("a+") as held, path.open("a+") as mine:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="already runs"):
            take_lock(mine)
