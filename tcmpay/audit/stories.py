"""How objects' trails begin and end, read for many objects at once by the rooms' checks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tcmpay.audit.models import AuditEvent


@dataclass(frozen=True, slots=True)
class Story:
    """What the trail says of an object: how it was born, and the state it is in."""

    birth: Mapping[str, Any]
    state: str


def stories(using: str, object_type: str, ids: Iterable[object]) -> dict[str, Story]:
    """Of each object that has a trail, by its id as text."""
    told: dict[str, Story] = {}
    events = AuditEvent.objects.using(using).filter(
        object_type=object_type, object_id__in=[str(object_id) for object_id in ids]
    )
    for object_id, to_state, details in events.order_by("object_id", "version").values_list(
        "object_id", "to_state", "details"
    ):
        before = told.get(object_id)
        birth = before.birth if before else details
        told[object_id] = Story(birth, to_state or (before.state if before else ""))
    return told
