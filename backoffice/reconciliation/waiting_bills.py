"""Bills that wait for a confirmation: uploaded, or fetched where another one counts already."""

import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

from django.conf import settings
from django.http import HttpRequest

from backoffice.exports.services import OWN_FILE, own_folder
from gateways.errors import GatewayError
from gateways.interface import BillRefused, OpenedBill
from gateways.registry import open_bill
from reconciliation.merchants import Merchant, gateway_of
from reconciliation.services.importing import bill_examine
from reconciliation.states import BillSource, BillType
from tcmpay.common.errors import DomainError

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
    source: BillSource = BillSource.UPLOADED

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
            "source": str(self.source),
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
            BillSource(kept["source"]),
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


def fetched_keep(
    merchant: Merchant, day: date, bill_types: Sequence[BillType] = tuple(BillType)
) -> Upload | None:
    """The first bill that the gateway gives otherwise than it is kept; None where there is none."""
    for bill_type in bill_types:
        try:
            gateway = gateway_of(merchant)
            is_trade = bill_type == BillType.TRADE
            opened = (gateway.download_bill if is_trade else gateway.download_fund_bill)(day)
        except (GatewayError, BillRefused):
            continue
        if opened is None:
            continue
        with closing(opened):
            if _differs(merchant, day, bill_type, opened):
                name = f"{merchant.method}-{day}-{bill_type}.csv"
                upload = upload_new(merchant, day, bill_type, name, BillSource.FETCHED)
                opened.file.seek(0)
                upload_write(upload, opened.file)
                return upload
    return None


def _differs(merchant: Merchant, day: date, bill_type: BillType, opened: OpenedBill) -> bool:
    try:
        examined = bill_examine(
            merchant=merchant,
            day=day,
            bill_type=bill_type,
            opened=opened,
            source=BillSource.FETCHED,
        )
    except DomainError:
        return False
    return examined.changes is not None


def upload_new(
    merchant: Merchant, day: date, bill_type: BillType, name: str, source: BillSource
) -> Upload:
    """A place for a file under a name that nobody can guess, for an hour."""
    folder = _folder()
    own_folder(folder)
    _purge(folder)
    return Upload(secrets.token_hex(16), merchant, day, bill_type, name, source)


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
