"""Reading staff."""

from collections.abc import Iterable

from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _

from tcmpay.common.actor import Actor


def people_names(ids: Iterable[object]) -> dict[object, str]:
    """How staff are called, by id. People of the platform are not here: we know only their ids."""
    wanted = {one for one in ids if one is not None}
    if not wanted:
        return {}
    people = get_user_model().objects.filter(pk__in=wanted)
    return {person.pk: person.get_full_name() or person.get_username() for person in people}


def staff_names() -> dict[object, str]:
    """How everybody is called who is or was staff, by id."""
    return {
        person.pk: person.get_full_name() or person.get_username()
        for person in get_user_model().objects.all()
    }


def person_text(person_id: object, *, names: dict[object, str] | None = None) -> str:
    """One person for reading: a staff user's name, else the platform's id, else the system."""
    if person_id is None:
        return _("系统")
    known = people_names([person_id]) if names is None else names
    return known.get(person_id) or str(person_id)


def staff_actor(person_id: object, permission: str = "") -> Actor | None:
    """The staff user as the one who acts; None when they may not (any more)."""
    person = get_user_model().objects.filter(pk=person_id, is_active=True, is_staff=True).first()
    if person is None or (permission and not person.has_perm(permission)):
        return None
    return person.as_actor()


def staff_who_may(permission: str) -> dict[object, str]:
    """Active staff who hold ``permission``, by id, as they are called."""
    people = get_user_model().objects.with_perm(
        permission, backend="django.contrib.auth.backends.ModelBackend"
    )
    found = people.filter(is_staff=True).order_by("username")
    return {person.pk: person.get_full_name() or person.get_username() for person in found}
