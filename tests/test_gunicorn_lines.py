"""gunicorn's own lines are JSON without secrets: its master's, too, from the first one on."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings

from tests.programs import ENVIRONMENT

CANARY = "CanaryOfTheMaster"
# The product, but what it begins with raises what nobody foresaw.
BROKEN = f"""
import django.core.wsgi

def fails():
    raise ValueError("password={CANARY}")

django.core.wsgi.get_wsgi_application = fails
from tcmpay.wsgi import application
"""


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["in a worker", "in the master"])
def test_each_line_of_a_start_that_fails_is_json_and_tells_no_secret(tmp_path, preload):
    (tmp_path / "broken_product.py").write_text(BROKEN)
    command = [sys.executable, "-m", "gunicorn", "broken_product:application"]
    command += ["--worker-class", "tcmpay.gunicorn_worker.BoundedThreadWorker", "--workers", "1"]
    command += ["--bind", f"unix:{tmp_path}/socket", "--no-control-socket", *preload]
    paths = f"{tmp_path}{os.pathsep}{settings.BASE_DIR}"
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, **ENVIRONMENT, "DATABASE_URL": "sqlite://:memory:", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    said = {line["event"].split(" ")[0] for line in lines}
    # Loaded in the master, it fails before there is anything to say.
    assert "not_started" in said
    assert preload or {"Starting", "Listening", "Booting", "Shutting"} <= said
    assert all(line["timestamp"].endswith("Z") for line in lines)
    assert CANARY not in done.stderr + done.stdout
    assert "ValueError" in done.stderr
