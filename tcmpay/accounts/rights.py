"""Roles and permissions of staff: marked whoever gives them, and compared with the table (E9)."""

from collections.abc import Iterator
from typing import Any

from django.contrib.auth.models import Group, Permission
from django.db.models.signals import m2m_changed
from django.utils.translation import gettext as _

from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.roles import ROLES
from tcmpay.audit.marks import row_look, row_mark
from tcmpay.common.invariants import Scope, Violation

CODE = "E9"
# What is done to an account's mark before its memberships are written, and after.
STEPS = {
    **dict.fromkeys(("pre_add", "pre_remove", "pre_clear"), row_look),
    **dict.fromkeys(("post_add", "post_remove", "post_clear"), row_mark),
}


def connect() -> None:
    """Memberships lie in tables of Django's own, whose writes are told by its signal only."""
    for through, receiver in (
        (StaffUser.groups.through, _membership_changed),
        (StaffUser.user_permissions.through, _membership_changed),
        (Group.permissions.through, _permissions_changed),
    ):
        m2m_changed.connect(receiver, sender=through, dispatch_uid=f"rights.{through.__name__}")


def _membership_changed(instance: Any, action: str, pk_set: Any, **kwargs: Any) -> None:
    step = STEPS[action]
    if isinstance(instance, StaffUser):
        step(instance)
        return
    # From the group's side; what was cleared there is not told, so everybody is looked at.
    people = StaffUser.objects.filter(pk__in=pk_set) if pk_set else StaffUser.objects.all()
    for person in people:
        step(person)


def _permissions_changed(instance: Any, action: str, **kwargs: Any) -> None:
    if not isinstance(instance, Group) or instance.name in ROLES:
        return
    for person in StaffUser.objects.filter(groups=instance):
        STEPS[action](person)


def check_roles(scope: Scope) -> Iterator[Violation]:
    """Each role may what the table in the code says, no more and no less."""
    known = {
        f"{label}.{codename}"
        for label, codename in Permission.objects.using(scope.using).values_list(
            "content_type__app_label", "codename"
        )
    }
    groups = Group.objects.using(scope.using).filter(name__in=ROLES)
    for group in groups.prefetch_related("permissions__content_type"):
        held = {f"{one.content_type.app_label}.{one.codename}" for one in group.permissions.all()}
        if odd := sorted(held ^ (ROLES[group.name] & known)):
            text = _("角色的权限与代码中的表不同：%(names)s") % {"names": ", ".join(odd)}
            yield Violation(CODE, "role", group.name, text)
    if known:
        # Where Django has made the permissions, roles have been given theirs.
        for name in sorted(ROLES.keys() - {group.name for group in groups}):
            yield Violation(CODE, "role", name, _("角色已不存在"))
        for name in sorted(set().union(*ROLES.values()) - known):
            yield Violation(CODE, "role", name, _("代码中的权限在数据库中不存在"))
