"""The log of sign-ins (E9): each line is as it was written, and none is gone that was sealed."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from tcmpay.accounts.models import SignIn
from tcmpay.accounts.rights import check_roles
from tcmpay.accounts.services.staff import MAC_KIND, SIGN_INS_KEPT_FOR, sign_in_facts
from tcmpay.audit.day_seals import check_sealed
from tcmpay.audit.macs import row_mac_holds
from tcmpay.audit.seals import Chain
from tcmpay.audit.upgrade import newest_upgrade
from tcmpay.common.invariants import Scope, Violation, in_chunks

SIGN_INS = Chain(SignIn, "E9", kept_for=SIGN_INS_KEPT_FOR)


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


CHECKS = (check_roles, check_sign_ins, check_sealed_sign_ins)
