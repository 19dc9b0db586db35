"""Bills put away in parts: those that staff send and that are too big to be imported while they
wait, and those that they had downloaded again and that differ from the one that counts. A worker
imports them as the one who sent them, each ending with a bill or with a reason."""

import hashlib
import logging
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from typing import IO
from uuid import UUID

from django.utils.translation import gettext as _

from config.gateways.merchants import Merchant
from gateways.bill_files import digest_of, temporary_file
from gateways.interface import BillRefused, OpenedBill
from gateways.registry import open_bill
from reconciliation.contents import upload_chunks, upload_write
from reconciliation.errors import AnotherBillThere, BillNotAccepted
from reconciliation.models import BillUpload, BillUploadPart
from reconciliation.services.importing import bill_import
from reconciliation.services.queueing import day_compare_ask
from reconciliation.states import BillSource, BillType, UploadStatus
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.bell import ring
from tcmpay.common.db import columns_write, money_unit
from tcmpay.common.errors import DomainError
from tcmpay.common.sweep import by_itself

logger = logging.getLogger(__name__)

RUN_TASK = "reconciliation.import_uploads"
# What unpacks to more has more than twenty thousand lines, and takes seconds.
BYTES_AT_ONCE_MAX = 8 << 20
WAITING_PER_PERSON_MAX = 5
LEASE = timedelta(minutes=10)  # an import that did not end by then is taken to have died
TRIES_MAX = 3
KEPT_FOR = timedelta(days=1)  # for a word about replacing
EXAMPLES_MAX = 3  # numbers of lines that differ, in a reason


def bill_upload_keep(
    *,
    actor: Actor,
    merchant: Merchant,
    day: date,
    bill_type: BillType,
    file: IO[bytes],
    file_name: str,
) -> BillUpload:
    """Put a file away to be imported soon; the same one, while it waits, is put away once.

    Raises BillNotAccepted: the sender has too many waiting.
    """
    facts = {
        "payment_method": merchant.method,
        "merchant": merchant.number,
        "day": day,
        "bill_type": bill_type,
        "sha256": digest_of(file, hashlib.sha256()),
    }
    unanswered = (UploadStatus.WAITING, UploadStatus.DIFFERS)
    mine = {"sent_by": actor.id, "source": BillSource.UPLOADED}
    kept = BillUpload.objects.filter(status__in=unanswered, **mine)
    if (same := kept.filter(**facts).first()) is not None:
        return same
    if kept.count() >= WAITING_PER_PERSON_MAX:
        raise BillNotAccepted(_("您上传的账单还有几份没有导入完，请等它们完成后再上传"))
    upload = BillUpload(
        **facts,
        file_name=file_name[:200],
        sent_by=actor.id,
        sent_at=clock.now(),
        due_at=clock.now(),
    )
    _put_away(upload, actor, file)
    return upload


@money_unit
def _put_away(upload: BillUpload, actor: Actor, file: IO[bytes]) -> None:
    upload.save(force_insert=True)
    upload_write(upload, file)
    _audit(upload, actor, "bill_sent", was="")
    if upload.due_at is not None:
        ring(RUN_TASK)


def bill_fetched_keep(
    *,
    actor: Actor,
    merchant: Merchant,
    day: date,
    bill_type: BillType,
    opened: OpenedBill,
    error: AnotherBillThere,
) -> None:
    """Put a bill away that the gateway gives otherwise than the one that counts, until somebody
    says that it may replace it; the newest that was downloaded is the one that may."""
    facts = {
        "payment_method": merchant.method,
        "merchant": merchant.number,
        "day": day,
        "bill_type": bill_type,
        "source": BillSource.FETCHED,
    }
    for former in BillUpload.objects.filter(**facts, status=UploadStatus.DIFFERS):
        _end(former, UploadStatus.REFUSED, _("之后又重新下载过一次"))
    upload = BillUpload(
        **facts,
        sha256=digest_of(opened.file, hashlib.sha256()),
        file_name=f"{merchant.method}-{day}-{bill_type}.csv",
        sent_by=actor.id,
        sent_at=clock.now(),
        status=UploadStatus.DIFFERS,
        reason=_differing(error)[:500],
    )
    _put_away(upload, actor, opened.file)


@money_unit
def bill_upload_confirm(*, actor: Actor, upload_id: UUID) -> BillUpload | None:
    """Let a file that differs from the bill that counts replace it; None where that isn't asked."""
    rows = BillUpload.objects.select_for_update()
    upload = rows.filter(id=upload_id, status=UploadStatus.DIFFERS).first()
    if upload is None:
        return None
    columns_write(
        upload,
        status=UploadStatus.WAITING,
        reason="",
        is_replacing=True,
        sent_by=actor.id,
        due_at=clock.now(),
        tries=0,
    )
    _audit(upload, actor, "bill_upload_confirmed", was=UploadStatus.DIFFERS)
    ring(RUN_TASK)
    return upload


def bill_uploads_import() -> int:
    """Import what was sent, each by itself; how many files there were."""
    _forget()
    done = 0
    due = BillUpload.objects.filter(due_at__lte=clock.now()).order_by("due_at")
    for upload in list(due):
        now = clock.now()
        mine = BillUpload.objects.filter(id=upload.id, due_at__lte=now, tries=upload.tries)
        if mine.update(due_at=now + LEASE, tries=upload.tries + 1):
            with by_itself(logger, "bill_upload_failed", day=str(upload.day)):
                _import(upload)
            done += 1
    return done


def _import(upload: BillUpload) -> None:
    if upload.tries >= TRIES_MAX:
        text = _("导入了几次都没有完成，什么都没有改变：请联系管理员用命令导入")
        _end(upload, UploadStatus.REFUSED, text)
        return
    actor = Actor(upload.sent_by, Role.STAFF)
    merchant = Merchant(upload.payment_method, upload.merchant)
    try:
        with _opened(upload) as bill:
            bill_import(
                actor=actor,
                merchant=merchant,
                day=upload.day,
                bill_type=BillType(upload.bill_type),
                opened=bill,
                source=BillSource(upload.source),
                file_name=upload.file_name if upload.source == BillSource.UPLOADED else "",
                is_replacing=upload.is_replacing,
            )
    except AnotherBillThere as error:
        _end(upload, UploadStatus.DIFFERS, _differing(error))
    except (BillRefused, DomainError) as error:
        _end(upload, UploadStatus.REFUSED, str(getattr(error, "text", error)))
    else:
        day_compare_ask(actor=actor, merchant=merchant, day=upload.day)
        _end(upload, UploadStatus.DONE)


@contextmanager
def _opened(upload: BillUpload) -> Iterator[OpenedBill]:
    """Raises BillRefused."""
    with temporary_file() as file:
        digest = hashlib.sha256()
        try:
            for piece in upload_chunks(upload):
                digest.update(piece)
                file.write(piece)
        except zlib.error as error:
            raise BillRefused(_("上传的文件已损坏，请重新上传")) from error
        if digest.hexdigest() != upload.sha256:
            raise BillRefused(_("上传的文件已损坏，请重新上传"))
        file.seek(0)
        name = upload.file_name
        opened = open_bill(upload.payment_method, upload.bill_type, file, name=name)
        with closing(opened):
            yield opened


def _differing(error: AnotherBillThere) -> str:
    if not error.data:
        return str(error.text)
    text = _(
        "这一天已有另一份账单：%(only_before)d 行只在旧文件，%(only_after)d 行只在新文件，"
        "%(changed)d 行内容不同。例如：%(examples)s"
    )
    examples = "、".join(error.data["examples"][:EXAMPLES_MAX])
    return str(text % {**error.data, "examples": examples})


@money_unit
def _end(upload: BillUpload, status: UploadStatus, reason: str = "") -> None:
    """Say what came of it; what is not asked about any more is deleted."""
    row = BillUpload.objects.select_for_update().get(id=upload.id)
    was = row.status
    if was in (UploadStatus.DONE, UploadStatus.REFUSED):
        return
    columns_write(row, status=status, reason=reason[:500], due_at=None)
    if status != UploadStatus.DIFFERS:
        BillUploadPart.objects.filter(upload=row).delete()
    _audit(row, SYSTEM, "bill_upload_answered", was=was)


def _forget() -> None:
    """Refuse what nobody said a word about for a day."""
    until = clock.now() - KEPT_FOR
    for upload in BillUpload.objects.filter(status=UploadStatus.DIFFERS, sent_at__lt=until):
        _end(upload, UploadStatus.REFUSED, _("一天之内没有确认替换，文件已删除"))


def _audit(upload: BillUpload, actor: Actor, action: str, *, was: str) -> None:
    audit_record(
        object_type=BillUpload.AUDIT_OBJECT,
        object_id=upload.id,
        action=action,
        actor=actor,
        from_state=was,
        to_state=upload.status,
        details={
            "sha256": upload.sha256,
            "day": upload.day.isoformat(),
            "payment_method": upload.payment_method,
            "merchant": upload.merchant,
            "bill_type": str(upload.bill_type),
            "reason": upload.reason,
        },
    )
