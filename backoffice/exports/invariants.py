"""Who exported what: each export is as its trail tells of it, and none is gone (E9)."""

from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from backoffice.exports.services import AUDIT_OBJECT, export_facts
from backoffice.models import ExportJob
from tcmpay.audit.macs import row_mac_holds
from tcmpay.audit.models import AuditEvent
from tcmpay.common.invariants import Scope, Violation, batches, in_chunks

BATCH = 1000


def check_exports(scope: Scope) -> Iterator[Violation]:
    jobs = ExportJob.objects.using(scope.using).all()
    if scope.since is not None:
        jobs = jobs.filter(created_at__gte=scope.since)
    for batch in batches(in_chunks(jobs, "id"), BATCH):
        asked, finished = _events(scope, [str(job.pk) for job in batch])
        for job in batch:
            if problem := _problem(job, asked.get(str(job.pk)), finished.get(str(job.pk))):
                yield Violation("E9", AUDIT_OBJECT, str(job.pk), problem)
    yield from _gone(scope)


def _events(scope: Scope, ids: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    asked: dict[str, Any] = {}
    finished: dict[str, str] = {}
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=AUDIT_OBJECT, object_id__in=ids
    )
    for event in events.order_by("object_id", "version"):
        if event.action == "export_requested":
            asked[event.object_id] = event
        elif event.action == "export_finished":
            finished[event.object_id] = event.details["digest"]
    return asked, finished


def _problem(job: ExportJob, asked: AuditEvent | None, digest: str | None) -> str:
    if asked is None:
        return _("导出没有审计记录")
    told = asked.details
    if digest is not None:
        if not row_mac_holds(AUDIT_OBJECT, job.pk, export_facts(job), digest):
            return _("导出与审计记录中的摘要不符")
    elif (asked.actor_id, told["list"], told["filters"], told["rows"], told["format"]) != (
        job.requested_by,
        job.page,
        job.query,
        job.rows_total,
        job.file_format,
    ):
        return _("导出的内容或导出人与审计记录不一致")
    return ""


def _gone(scope: Scope) -> Iterator[Violation]:
    asked = AuditEvent.objects.using(scope.using).filter(
        object_type=AUDIT_OBJECT, action="export_requested"
    )
    if scope.since is not None:
        asked = asked.filter(created_at__gte=scope.since)
    for batch in batches(in_chunks(asked, "id"), BATCH):
        ids = [event.object_id for event in batch]
        there = {
            str(key)
            for key in ExportJob.objects.using(scope.using)
            .filter(pk__in=ids)
            .values_list("pk", flat=True)
        }
        for object_id in ids:
            if object_id not in there:
                yield Violation("E9", AUDIT_OBJECT, object_id, _("导出有审计记录，但记录已被删除"))


CHECKS = (check_exports,)
