"""How objects' trails begin and end, read for many objects at once by the rooms' checks."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tcmpay.audit.models import AuditEvent
from tcmpay.audit.row_digests import ROW


@dataclass(frozen=True, slots=True)
class Story:
    """What the trail says of an object: how it was born and by whom, the state it is in, and
    when it was told of last, with the digest that its row had then ("": none was kept)."""

    birth: Mapping[str, Any]
    born_by: UUID | str | None
    state: str
    told_at: datetime
    row: str

    def is_silent_about(self, name: str) -> bool:
        """Whether the birth never told ``name``: the first releases, which kept no digests, told
        less of it. Those of today tell all, and nobody without the key can take a word out."""
        return name not in self.birth and ROW not in self.birth


def stories(using: str, object_type: str, ids: Iterable[object]) -> dict[str, Story]:
    """Of each object that has a trail, by its id as text."""
    told: dict[str, Story] = {}
    events = AuditEvent.objects.using(using).filter(
        object_type=object_type, object_id__in=[str(object_id) for object_id in ids]
    )
    for object_id, to_state, details, actor_id, moment in events.order_by(
        "object_id", "version"
    ).values_list("object_id", "to_state", "details", "actor_id", "created_at"):
        before, row = told.get(object_id), details.get(ROW, "")
        if before is None:
            told[object_id] = Story(details, actor_id, to_state, moment, row)
        else:
            told[object_id] = Story(
                before.birth, before.born_by, to_state or before.state, moment, row
            )
    return told
