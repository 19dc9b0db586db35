"""What may be read from a replica, which can lag, names its alias; nothing is written there.

Audits and exports name ``settings.SNAPSHOT_DATABASE``; whatever moves money names no alias.
"""

from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS


class NothingIsWrittenThere:
    """A router: a row that was read through the snapshot is written to the database itself."""

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return DEFAULT_DB_ALIAS

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        # The replica holds the same rows under the same keys.
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return None if db == DEFAULT_DB_ALIAS or db != settings.SNAPSHOT_DATABASE else False
