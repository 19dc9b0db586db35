"""README.md's commands as a reader pastes them, against a demo of their own.

``python -m tests.readme`` copies the product to a folder, starts the demo there as ``make demo``
does, runs every block of README.md's flows in one shell, and ends with 1 where an answer is a
failure or lacks what the README says of it (``# "status": "paid"``).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.programs import ROOT, is_listening

START_SECONDS_MAX = 120.0
SHELL_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 30.0
EXPECT = """
set -euo pipefail
expect() {
  local answer; answer=$(cat); echo "$answer"
  [[ ${answer// /} == *"${1// /}"* ]] || { echo "README.md says $1 here" >&2; return 1; }
}
"""


def blocks() -> list[str]:
    """What is pasted: all shell blocks but ``make demo`` and ``make test``."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^```bash\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for block in found if not block.startswith("make ")]


def script(port: int) -> str:
    text = "\n".join(blocks())
    text = re.sub(r"^(.*?) +# (\"status\": \"\w+\")$", r"\1 | expect '\2'", text, flags=re.M)
    return EXPECT + text.replace(":3000", f":{port}").replace(":3001", f":{port + 1}")


def free_port() -> int:
    """The first of two neighbours that nobody listens at."""
    return next(
        port
        for port in range(21_000, 30_000, 2)
        if not (is_listening(port) or is_listening(port + 1))
    )


def copy_of_the_product(folder: Path) -> Path:
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    for name in filter(None, tracked.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder


def wait_until_it_serves(demo: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and demo.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    sys.exit("the demo did not start")


def failures(output: str) -> list[str]:
    answers = [line for line in output.splitlines() if line.startswith("{")]
    if len(answers) < len(blocks()):
        return [f"only {len(answers)} answers"]
    return [line for line in answers if json.loads(line).get("success") is False]


def main() -> int:
    # Settings of the shell would go before the demo's own.
    environment = {"LOG_LEVEL": "ERROR", "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    port = free_port()
    with tempfile.TemporaryDirectory() as made:
        folder = copy_of_the_product(Path(made))
        python = str(folder / ".venv/bin/python")
        subprocess.run([python, "scripts/demo_env.py"], cwd=folder, env=environment, check=True)
        demo = subprocess.Popen(
            [python, "manage.py", "demo", "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until_it_serves(demo, port)
            pasted = subprocess.run(
                ["bash", "-c", script(port)],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                timeout=SHELL_SECONDS_MAX,
                check=False,
            )
        finally:
            demo.terminate()
            demo.wait(STOP_SECONDS_MAX)
    wrong = failures(pasted.stdout)
    if wrong or pasted.returncode:
        sys.stdout.write("\n".join([pasted.stdout, *(f"WRONG: {line}" for line in wrong), ""]))
        return 1
    sys.stdout.write(f"README.md: {len(blocks())} blocks, all as it says\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
