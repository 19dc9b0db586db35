"""A replica may lag: nothing that moves money reads it, and nothing is written to it."""

import pytest
from django.db import router

from config.models import PriceConfig
from tests.rooms import ROOT, product_files

# Who may read what is a moment old: the audit, exports, the trail's verification.
READERS = {
    "backoffice/exports/services.py",
    "backoffice/management/commands/audit_money.py",
    "backoffice/ops/audit.py",
    "backoffice/ops/doctor/replica.py",
    "backoffice/ops/laws.py",
    "backoffice/trail/verify.py",
}


def test_the_snapshot_is_named_by_its_readers_alone():
    named = {
        path.relative_to(ROOT).as_posix()
        for path in product_files()
        if "SNAPSHOT_DATABASE" in path.read_text("utf-8") or '"snapshot"' in path.read_text("utf-8")
    }
    # The settings make it, the router keeps writes away from it.
    assert named - {"tcmpay/settings.py", "tcmpay/common/replica.py"} == READERS


def test_a_row_that_was_read_there_is_written_to_the_database_itself():
    row = PriceConfig()
    row._state.db = "snapshot"
    assert router.db_for_write(PriceConfig, instance=row) == "default"
    assert router.db_for_read(PriceConfig, instance=row) == "snapshot"
    assert not router.allow_migrate("snapshot", "config")
    assert router.allow_migrate("default", "config")


@pytest.mark.django_db
def test_without_an_alias_the_database_itself_is_read():
    assert PriceConfig.objects.all().db == "default"
