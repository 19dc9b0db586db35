"""Who does something: a platform user, a staff user, a gateway, or the system itself."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Role(StrEnum):
    PATIENT = "patient"
    DOCTOR = "doctor"
    ADMIN = "admin"
    SERVICE = "service"
    # Not in tokens: the platform can't claim to be one of these.
    STAFF = "staff"
    GATEWAY = "gateway"
    SYSTEM = "system"


TOKEN_ROLES = frozenset({Role.PATIENT, Role.DOCTOR, Role.ADMIN, Role.SERVICE})


@dataclass(frozen=True, slots=True)
class Actor:
    id: UUID | None
    role: Role
    name: str = ""

    # What DRF asks of ``request.user``.
    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def pk(self) -> UUID | None:
        return self.id

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN

    @property
    def is_service(self) -> bool:
        return self.role is Role.SERVICE

    def owns(self, user_id: object) -> bool:
        return self.id is not None and self.id == user_id


SYSTEM = Actor(id=None, role=Role.SYSTEM, name="system")


def gateway_actor(method: str) -> Actor:
    return Actor(id=None, role=Role.GATEWAY, name=method)
