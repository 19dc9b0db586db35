"""Bills that wait for a confirmation: uploaded, or fetched where another one counts already."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from django.conf import settings
from django.http import HttpRequest

from backoffice.exports.services import OWN_FILE, own_folder
from config.gateways.merchants import Merchant
from gateways.interface import OpenedBill
from gateways.registry import open_bill
from reconciliation.states import BillType

# What waits for a confirmation, by the session that it came in.
WAITING = "bill_upload"
KEPT_SECONDS = 3600


@dataclass(frozen=True)
class Upload:
    """A file that waits for a confirmation, and what it is said to be."""

    token: str
    merchant: Merchant
    day: date
    bill_type: BillType
    name: str

    @property
    def path(self) -> Path:
        return _folder() / self.token

    def to_session(self) -> dict[str, str]:
        return {
            "token": self.token,
            "method": self.merchant.method,
            "number": self.merchant.number,
            "day": self.day.isoformat(),
            "bill_type": str(self.bill_type),
            "name": self.name,
        }

    @classmethod
    def of_session(cls, request: HttpRequest) -> "Upload | None":
        kept = request.session.get(WAITING)
        if not kept:
            return None
        found = cls(
            kept["token"],
            Merchant(kept["method"], kept["number"]),
            date.fromisoformat(kept["day"]),
            BillType(kept["bill_type"]),
            kept["name"],
        )
        return found if found.path.exists() else None

    @contextmanager
    def opened(self) -> Iterator[OpenedBill]:
        """Raises BillRefused."""
        with self.path.open("rb") as file:
            bill = open_bill(self.merchant.method, self.bill_type, file, name=self.name)
            try:
                yield bill
            finally:
                bill.close()


def upload_new(merchant: Merchant, day: date, bill_type: BillType, name: str) -> Upload:
    """A place for a file under a name that nobody can guess, for an hour."""
    folder = _folder()
    own_folder(folder)
    _purge(folder)
    return Upload(secrets.token_hex(16), merchant, day, bill_type, name)


def upload_write(upload: Upload, content: IO[bytes]) -> None:
    upload.path.touch(mode=OWN_FILE, exist_ok=False)
    with upload.path.open("wb") as file:
        shutil.copyfileobj(content, file)


def _folder() -> Path:
    return Path(settings.EXPORT_DIR) / "bills"


def _purge(folder: Path) -> None:
    until = time.time() - KEPT_SECONDS
    for file in folder.iterdir():
        if file.stat().st_mtime < until:
            file.unlink(missing_ok=True)
