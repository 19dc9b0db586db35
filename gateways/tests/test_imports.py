"""What importing the gateways does to the process, and what it must not touch."""

import subprocess
import sys

QUIET = """
import logging, sys
handler = logging.FileHandler(sys.argv[1], "w")
logging.getLogger().addHandler(handler)
logging.getLogger("x").warning("before")
import gateways.registry
logging.getLogger("x").warning("after")
from logging.config import dictConfig
assert dictConfig.__module__ == "logging.config", dictConfig
"""
ALONE = """
import sys
import gateways.registry, gateways.doctor
reached = [name for name in sys.modules if name.startswith("django.db.models")]
assert not reached, reached
"""


def run(script: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, timeout=60)


def test_importing_alipay_leaves_logging_alone(tmp_path):
    log = tmp_path / "log"
    run(QUIET, str(log))
    assert log.read_text().split() == ["before", "after"]


def test_the_gateways_reach_no_models():
    run(ALONE)
