"""Staff of the back office. Patients and doctors live in the platform; we know their ids."""

from django.contrib.auth.models import AbstractUser
from django.utils.translation import gettext_lazy as _

from tcmpay.common.actor import Actor, Role
from tcmpay.common.fields import id_field


class StaffUser(AbstractUser):
    """Someone who signs in to the admin.

    The id is a UUID: where the same person also holds a platform token it is the token's
    ``sub``, and rules about "the same person" compare the two.
    """

    id = id_field()

    class Meta:
        db_table = "staff_users"
        verbose_name = _("员工")
        verbose_name_plural = _("员工")

    def as_actor(self) -> Actor:
        return Actor(id=self.id, role=Role.STAFF, name=self.get_full_name() or self.username)
