"""The log of sign-ins (E9): each line is as it was written, and none is gone that was sealed."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.utils.translation import gettext as _

from tcmpay.accounts.models import SignIn, StaffUser
from tcmpay.accounts.rights import check_roles
from tcmpay.accounts.services.staff import MAC_KIND, SIGN_INS_KEPT_FOR, sign_in_facts
from tcmpay.accounts.services.trail import AUDIT_OBJECT
from tcmpay.audit.day_seals import check_sealed
from tcmpay.audit.macs import row_mac_holds
from tcmpay.audit.marks import rows_adopted
from tcmpay.audit.models import AuditEvent
from tcmpay.audit.seals import Chain
from tcmpay.audit.upgrade import newest_upgrade
from tcmpay.common.invariants import Scope, Violation, in_chunks

RIGHTS = ("is_active", "is_staff", "is_superuser")
SIGN_INS = Chain(SignIn, "E9", kept_for=SIGN_INS_KEPT_FOR)


def check_rights_told(scope: Scope) -> Iterator[Violation]:
    """What somebody is and may is what the trail told of it last, whatever the mark says."""
    adopted = rows_adopted(StaffUser, scope.using)
    events = AuditEvent.objects.using(scope.using).filter(
        object_type=AUDIT_OBJECT, action__in=("staff_created", "staff_changed")
    )
    told: dict[str, dict[str, Any]] = defaultdict(dict)
    for key, details, moment in events.order_by("object_id", "version").values_list(
        "object_id", "details", "created_at"
    ):
        if key not in adopted or moment > adopted[key]:
            told[key] |= {name: change["to"] for name, change in details["changes"].items()}
    people = StaffUser.objects.using(scope.using).filter(pk__in=list(told))
    for person in people.prefetch_related("groups"):
        said = told[str(person.pk)]
        now = {name: getattr(person, name) for name in RIGHTS}
        now["roles"] = sorted(group.name for group in person.groups.all())
        if odd := sorted(name for name in now if name in said and said[name] != now[name]):
            text = _("与审计记录最后所述不同：%(names)s") % {"names": ", ".join(odd)}
            yield Violation("E9", "staff_users", str(person.pk), text)


def check_sign_ins(scope: Scope) -> Iterator[Violation]:
    rows, upgrade = SignIn.objects.using(scope.using).all(), newest_upgrade(scope.using)
    if scope.since is not None:
        rows = rows.filter(created_at__gte=scope.since)
    for row in in_chunks(rows, "id"):
        is_former = row.hash == "" and upgrade and upgrade.may_lack_digest(row.created_at)
        if not (is_former or row_mac_holds(MAC_KIND, row.id, sign_in_facts(row), row.hash)):
            text = _("登录记录与写入时不同（由 SQL 修改或新增）")
            yield Violation("E9", "sign_in", str(row.id), text)


def check_sealed_sign_ins(scope: Scope) -> Iterator[Violation]:
    yield from check_sealed(SIGN_INS, scope)


CHECKS = (check_roles, check_rights_told, check_sign_ins, check_sealed_sign_ins)
