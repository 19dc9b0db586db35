"""What else is written about staff: passwords, the end of sessions, the log of sign-ins."""

from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db.transaction import atomic

from tcmpay.accounts.models import SignIn, SignInOutcome, StaffUser
from tcmpay.accounts.services.trail import staff_audit
from tcmpay.audit.macs import row_mac
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM, Actor
from tcmpay.common.db import columns_write
from tcmpay.common.request_id import current_request_id

MAC_KIND = "staff_sign_ins"
SIGN_INS_KEPT_FOR = timedelta(days=400)
PURGE_BATCH = 1000


def sessions_end(*, person: StaffUser, actor: Actor, reason: str = "") -> int:
    """End every session of ``person``; returns the new epoch, for the one that may go on."""
    with atomic():
        locked = StaffUser.objects.select_for_update().get(pk=person.pk)
        columns_write(locked, session_epoch=locked.session_epoch + 1)
        staff_audit(locked, "staff_sessions_ended", actor=actor, reason=reason)
    return locked.session_epoch


def own_password_set(*, person: StaffUser, password: str) -> None:
    """A new password chosen by ``person``; every session bound to the former one ends."""
    with atomic():
        person.set_password(password)
        person.must_change_password = False
        person.save(update_fields=["password", "must_change_password"])
        staff_audit(person, "staff_own_password_set")


def sign_in_record(
    *,
    outcome: SignInOutcome,
    username: str,
    user_id: Any = None,
    cause: str = "",
    address: str = "",
    user_agent: str = "",
) -> None:
    """Write down that somebody signed in, tried to, or left."""
    row = SignIn(
        outcome=outcome,
        cause=cause,
        username=username[:150],
        user_id=user_id,
        address=address[:45],
        user_agent=user_agent[:255],
        request_id=current_request_id(),
        created_at=clock.now(),
    )
    row.hash = row_mac(MAC_KIND, row.id, sign_in_facts(row))
    row.save(force_insert=True)


def sign_in_facts(row: Any) -> dict[str, Any]:
    """What the digest of a line of the log binds."""
    names = ("outcome", "cause", "username", "user_id", "address", "user_agent", "request_id")
    return {name: getattr(row, name) for name in (*names, "created_at")}


def lockout_record(*, username: str, address: str) -> None:
    """Tell an account's audit trail that it was locked; names that nobody has tell nothing."""
    person = get_user_model().objects.filter(username=username).first()
    if person is None:
        return
    with atomic():
        StaffUser.objects.select_for_update().get(pk=person.pk)
        staff_audit(person, "staff_locked_out", actor=SYSTEM, details={"address": address})


def sign_ins_purge() -> int:
    """Delete what is older than SIGN_INS_KEPT_FOR, in bounded batches; returns how many."""
    purged = 0
    while True:
        old = SignIn.objects.filter(created_at__lt=clock.now() - SIGN_INS_KEPT_FOR)
        ids = list(old.order_by("created_at").values_list("id", flat=True)[:PURGE_BATCH])
        purged += SignIn.objects.filter(id__in=ids).delete()[0]
        if len(ids) < PURGE_BATCH:
            return purged
