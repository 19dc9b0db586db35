from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    """Django's own, without the bound on one statement's time that protects requests.

    Changing a large table may take an hour; a client that goes away in the middle leaves a
    migration half done, because DDL is not rolled back.
    """

    def handle(self, *args: Any, **options: Any) -> None:
        connection = connections[options["database"]]
        given = connection.settings_dict["OPTIONS"]
        bounds = {name: given.pop(name) for name in ("read_timeout",) if name in given}
        connection.close()
        try:
            super().handle(*args, **options)
        finally:
            given.update(bounds)
            connection.close()
