"""Migrations may take longer than a request."""

from django.core.management import call_command
from django.core.management.commands import migrate
from django.db import connection


def test_a_migration_has_no_bound_on_a_statement_and_requests_have_it_again(db, monkeypatch):
    bounds = []
    options = connection.settings_dict["OPTIONS"]
    monkeypatch.setitem(options, "read_timeout", 30)
    # The connection of a test lies in a transaction, and must not be closed.
    monkeypatch.setattr(connection, "close", lambda: None)
    monkeypatch.setattr(
        migrate.Command,
        "handle",
        lambda _command, *_args, **_options: bounds.append(options.get("read_timeout")),
    )
    call_command("migrate", verbosity=0)
    assert bounds == [None]
    assert options["read_timeout"] == 30
