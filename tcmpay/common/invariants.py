"""What a room's ``checks.py`` hands to ``audit_money``."""

from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be and is. ``is_notice``: worth knowing, not wrong by itself."""

    code: str
    object_type: str
    object_id: str
    message: str | Promise
    is_notice: bool = False
