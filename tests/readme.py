"""README.md's commands as a reader pastes them, against a demo of their own.

``python -m tests.readme`` copies the product to a folder, starts the demo there as ``make demo``
does, runs every block of README.md's flows in one shell, and ends with 1 where an answer is a
failure or lacks what the README says of it (``# "status": "paid"``).
"""

import json
import re
import subprocess
import sys

from tests.live_demo import live_demo
from tests.programs import ROOT

SHELL_SECONDS_MAX = 180.0
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


def failures(output: str) -> list[str]:
    answers = [line for line in output.splitlines() if line.startswith("{")]
    if len(answers) < len(blocks()):
        return [f"only {len(answers)} answers"]
    return [line for line in answers if json.loads(line).get("success") is False]


def main() -> int:
    with live_demo() as demo:
        pasted = subprocess.run(
            ["bash", "-c", script(demo.port)],
            cwd=demo.folder,
            env=demo.environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=SHELL_SECONDS_MAX,
            check=False,
        )
    wrong = failures(pasted.stdout)
    if wrong or pasted.returncode:
        sys.stdout.write("\n".join([pasted.stdout, *(f"WRONG: {line}" for line in wrong), ""]))
        return 1
    sys.stdout.write(f"README.md: {len(blocks())} blocks, all as it says\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
