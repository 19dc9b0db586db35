"""Exports of lists: asked for in the admin, written by the worker, kept for some days."""

import errno
import logging
import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.db.transaction import atomic
from django.utils.translation import gettext as _
from django.utils.translation import override

from backoffice.exports.columns import LISTS
from backoffice.exports.files import XLSX_ROWS_MAX, open_rows
from backoffice.exports.totals import ExportTotals
from backoffice.models import ExportFormat, ExportJob, ExportStatus
from backoffice.site.filtered import FilterUnusable, rows_as_filtered
from tcmpay.audit.macs import row_mac
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.bell import ring
from tcmpay.common.invariants import in_chunks
from tcmpay.common.money import Money

logger = logging.getLogger(__name__)

RUN_TASK = "backoffice.run_exports"
EXPORT_PERMISSION = "backoffice.export_rows"
AUDIT_OBJECT = "export"
BEAT_ROWS = 2_000
INTERRUPTED_AFTER = timedelta(minutes=3)
KEPT_FOR = timedelta(days=7)
OPEN_PER_PERSON_MAX = 5
OWN_FILE, OWN_FOLDER, FOR_OTHERS = 0o600, 0o700, 0o077


class ExportRefused(Exception):
    """The export can't be made; the message says why and what to do."""


def export_request(
    *, person: Any, page: str, query: str, file_format: str, language: str
) -> ExportJob:
    """Queue an export of the list ``page`` as ``query`` filters it.

    Raises ExportRefused: an unknown list, one that the person may not see or export, too many
    rows for the format, or too many unfinished exports.
    """
    if page not in LISTS or file_format not in ExportFormat.values:
        raise ExportRefused(_("没有这个列表或格式。"))
    rows = filtered_rows(person, page, query)
    total = rows.order_by().count()
    if file_format == ExportFormat.XLSX and total > XLSX_ROWS_MAX:
        raise ExportRefused(
            _("共 %(number)d 行，超过 XLSX 的上限 %(bound)d 行。请缩小范围，或导出 CSV。")
            % {"number": total, "bound": XLSX_ROWS_MAX}
        )
    with atomic():
        # One after the other: of several at once, each would count without the rest.
        get_user_model().objects.select_for_update().get(pk=person.pk)
        unfinished = ExportJob.objects.filter(
            requested_by=person.pk, status__in=(ExportStatus.QUEUED, ExportStatus.RUNNING)
        )
        if unfinished.count() >= OPEN_PER_PERSON_MAX:
            raise ExportRefused(_("您还有未完成的导出，请等它们完成后再试。"))
        job = ExportJob(
            page=page,
            query=query,
            file_format=file_format,
            language=language,
            requested_by=person.pk,
            rows_total=total,
            created_at=clock.now(),
        )
        job.save(force_insert=True)
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=job.pk,
            action="export_requested",
            actor=person.as_actor(),
            to_state=job.status,
            details={"list": page, "filters": query, "rows": total, "format": file_format},
        )
        ring(RUN_TASK)
    return job


def filtered_rows(person: Any, page: str, query: str, *, using: str = "default") -> QuerySet[Any]:
    """The rows that ``person`` sees in the list under these filters. Raises ExportRefused."""
    if page not in LISTS:
        raise ExportRefused(_("没有这个列表或格式。"))
    try:
        rows = rows_as_filtered(person, page, query, using=using)
    except PermissionDenied:
        rows = None
    except FilterUnusable as error:
        raise ExportRefused(str(error)) from error
    if rows is None or not person.has_perm(EXPORT_PERMISSION):
        raise ExportRefused(_("您没有导出这个列表的权限，请联系管理员。"))
    return rows


# --- writing ------------------------------------------------------------------------------


def export_write_now(job: ExportJob) -> ExportJob:
    """Write a small export at once, unless a worker has taken it; returns it as it stands then."""
    claimed = ExportJob.objects.filter(pk=job.pk, status=ExportStatus.QUEUED)
    if claimed.update(status=ExportStatus.RUNNING, beat_at=clock.now()):
        _write(job)
    job.refresh_from_db()
    return job


def exports_run() -> int:
    """Write every export that waits, one after the other; returns how many were finished."""
    _purge()
    finished = 0
    while (job := _claim()) is not None:
        _write(job)
        finished += 1
    return finished


def _claim() -> ExportJob | None:
    """The oldest export that waits or was interrupted, for this worker alone."""
    stale = clock.now() - INTERRUPTED_AFTER
    waiting = ExportJob.objects.filter(status=ExportStatus.QUEUED)
    interrupted = ExportJob.objects.filter(status=ExportStatus.RUNNING, beat_at__lt=stale)
    for job in (*waiting.order_by("created_at")[:10], *interrupted.order_by("created_at")[:10]):
        claimed = ExportJob.objects.filter(pk=job.pk, status=job.status, beat_at=job.beat_at)
        if claimed.update(status=ExportStatus.RUNNING, beat_at=clock.now(), rows_done=0):
            job.refresh_from_db()
            return job
    return None


def _write(job: ExportJob) -> None:
    try:
        with override(job.language):
            amount = _write_file(job)
    except ExportRefused as refusal:
        _end(job, ExportStatus.FAILED, error=str(refusal))
    except Exception:
        logger.exception("export_failed", extra={"export": str(job.pk)})
        _end(job, ExportStatus.FAILED, error=_("生成失败，请重试；仍失败请联系管理员。"))
    else:
        size = export_path(job).stat().st_size
        _end(job, ExportStatus.DONE, amount=amount, bytes_written=size)


def _end(job: ExportJob, status: ExportStatus, **changes: Any) -> None:
    with atomic():
        ExportJob.objects.filter(pk=job.pk).update(
            status=status, finished_at=clock.now(), **changes
        )
        job.refresh_from_db()
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=job.pk,
            action="export_finished",
            actor=SYSTEM,
            details={"digest": row_mac(AUDIT_OBJECT, job.pk, export_facts(job))},
        )


def export_facts(job: ExportJob) -> dict[str, Any]:
    """What a finished export says, for the digest that its trail keeps."""
    return {
        field.attname: getattr(job, field.attname)
        for field in job._meta.concrete_fields
        if field.name not in {"id", "beat_at"}
    }


def _write_file(job: ExportJob) -> Money | None:
    """Write the list with its heading and its totals; returns the sum (yuan) of what counts."""
    person = get_user_model().objects.filter(pk=job.requested_by, is_active=True).first()
    if person is None:
        raise ExportRefused(_("导出人的账号已停用。"))
    listed = LISTS[job.page]
    own_folder(export_path(job).parent)
    unfinished = export_path(job).with_suffix(f".{secrets.token_hex(4)}.part")
    unfinished.touch(mode=OWN_FILE, exist_ok=False)
    widths = [column.width for column in listed.columns]
    writer = open_rows(unfinished, job.file_format, title=str(listed.title), widths=widths)
    totals = ExportTotals(listed)
    try:
        writer.row([str(column.title) for column in listed.columns])
        # One picture of the database for the whole file, and no lock on anything.
        with atomic(using=settings.SNAPSHOT_DATABASE):
            rows = filtered_rows(person, job.page, job.query, using=settings.SNAPSHOT_DATABASE)
            words = listed.words()
            for row in _beating(job, in_chunks(rows.prefetch_related(*listed.fetched), "pk")):
                values = [column.value(row, words) for column in listed.columns]
                writer.row(values)
                totals.add(row, values)
        ExportJob.objects.filter(pk=job.pk).update(rows_done=totals.number, beat_at=clock.now())
        for line in totals.lines():
            writer.row(line)
        writer.close()
        unfinished.rename(export_path(job))
    finally:
        unfinished.unlink(missing_ok=True)
    return totals.counted if listed.counted else None


def _beating(job: ExportJob, rows: Iterator[Any]) -> Iterator[Any]:
    for number, row in enumerate(rows, start=1):
        yield row
        if number % BEAT_ROWS == 0:
            ExportJob.objects.filter(pk=job.pk).update(rows_done=number, beat_at=clock.now())


def export_path(job: ExportJob) -> Path:
    """Where the file of an export lies; readable by the service's own account only."""
    return Path(settings.EXPORT_DIR) / f"{job.pk}.{job.file_format}"


def export_is_whole(job: ExportJob) -> bool:
    """Whether the file is there as it was written: half a list would be taken for the list."""
    try:
        return export_path(job).stat().st_size == job.bytes_written
    except OSError:
        return False


def own_folder(folder: Path) -> None:
    """Make the folder, or close it to everybody else: an earlier version left it open."""
    folder.mkdir(mode=OWN_FOLDER, parents=True, exist_ok=True)
    if folder.stat().st_mode & FOR_OTHERS:
        folder.chmod(OWN_FOLDER)


def _purge() -> None:
    """Take away files past their time; the rows stay and say who exported what."""
    for file in Path(settings.EXPORT_DIR).glob("*"):
        try:
            _purge_file(file)
        except FileNotFoundError:
            continue  # another worker was quicker
        except OSError as error:
            # What is not ours in the folder must not keep exports from being written.
            logger.warning("export_not_purged", extra={"file": file.name, "reason": error.strerror})


def _purge_file(file: Path) -> None:
    if file.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if file.stat().st_mode & FOR_OTHERS:
        file.chmod(OWN_FILE)
    age = clock.now().timestamp() - file.stat().st_mtime
    if age > KEPT_FOR.total_seconds():
        file.unlink()


def export_downloaded(*, person: Any, job_id: UUID) -> None:
    """Note in the audit trail that the file was taken."""
    with atomic():
        ExportJob.objects.select_for_update().get(pk=job_id)
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=job_id,
            action="export_downloaded",
            actor=person.as_actor(),
        )
