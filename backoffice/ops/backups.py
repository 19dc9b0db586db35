"""When the last backup was made and verified, as deploy/backup/ leaves it in BACKUP_STAMP_FILE."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings

FILE_BYTES_MAX = 64 * 1024
NAMES = ("dumped", "logs", "verified")
BACKUP_OLD_AFTER = timedelta(hours=26)  # made daily
LOGS_OLD_AFTER = timedelta(hours=2)  # kept hourly
DRILL_OLD_AFTER = timedelta(days=8)  # made weekly


class StampUnreadable(Exception):
    """The stamp is not there, or is none."""


@dataclass(frozen=True, slots=True)
class BackupStamp:
    """The newest dump, the newest binary logs that were kept, and the newest dump that was
    restored and audited."""

    dumped_at: datetime | None
    logs_at: datetime | None
    verified_at: datetime | None


def backup_stamp() -> BackupStamp | None:
    """None where BACKUP_STAMP_FILE is not set. Raises StampUnreadable."""
    if not settings.BACKUP_STAMP_FILE:
        return None
    try:
        with Path(settings.BACKUP_STAMP_FILE).open("rb") as file:
            facts = json.loads(file.read(FILE_BYTES_MAX).decode())
        return BackupStamp(*(_moment(facts.get(f"{name}_at")) for name in NAMES))
    except OSError as error:
        raise StampUnreadable(error.strerror or type(error).__name__) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise StampUnreadable(type(error).__name__) from error


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() is None:
        raise ValueError("a moment without its time zone")
    return moment
