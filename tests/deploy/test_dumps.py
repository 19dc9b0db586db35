"""What former releases wrote is taken to the present one, and its books are clean."""

import pytest

from tests.deploy.dumps import FOLDER, ROOT, manage, restore

DUMPS = sorted(FOLDER.glob("*.sql.gz"))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.name.partition(".sql")[0])
def test_data_of_a_former_release_migrates_and_audits_clean(tmp_path, dump):
    database = tmp_path / "db.sqlite3"
    restore(dump, database)
    migrated = manage(ROOT, database, "migrate", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stdout[-3000:]
    audited = manage(ROOT, database, "audit_money")
    assert audited.returncode == 0, audited.stdout[-3000:]


def test_there_are_some():
    assert len(DUMPS) >= 2
