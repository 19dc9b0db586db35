"""The demo's ``.env``: written once; closing begins the day before the data was seeded."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tcmpay.common.clock import business_day

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "demo_env.py"


def test_closing_begins_with_yesterday_and_anew_with_fresh_data(tmp_path):
    script = tmp_path / "scripts" / SCRIPT.name
    script.parent.mkdir()
    shutil.copy(SCRIPT, script)

    def written(**environment: str) -> str:
        plain = {name: os.environ[name] for name in ("PATH",)}
        command = [sys.executable, str(script)]
        subprocess.run(command, env={**plain, **environment}, check=True, capture_output=True)
        return (tmp_path / ".env").read_text()

    first = written()
    line = f"DAY_CLOSE_FROM={business_day(datetime.now(UTC)) - timedelta(days=1)}\n"
    assert line in first
    older = first.replace(line, "DAY_CLOSE_FROM=2026-01-01\n")
    (tmp_path / ".env").write_text(older)
    assert written() == older
    assert written(RESET="1", DATABASE_URL="sqlite:///other.sqlite3") == older
    assert written(RESET="1") == first
