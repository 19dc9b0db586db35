"""Load the settings once per case, all in one process: a case a line in, its result a line out.

A case is an environment; a result is what was said when it was refused, or a digest of what is
used.
"""

import hashlib
import json
import os
import sys
from dataclasses import astuple, is_dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

# Packages that a deployment may add, as if they were here: only whether they are is asked for.
for optional in ("sentry_sdk", "opentelemetry"):
    module = sys.modules.setdefault(optional, ModuleType(optional))
    module.__spec__ = ModuleSpec(optional, None)

# They hold objects, and texts that wait for the apps, or tell how a value came, not which it is.
MADE_ANEW = {
    "LOGGING", "UNFOLD", "SPECTACULAR_SETTINGS", "LOGIN_URL", "LOGIN_REDIRECT_URL",
    "ENVIRONMENT_SOURCES", "ENVIRONMENT_FILES",
}  # fmt: skip
SETTINGS = Path(__file__).resolve().parent.parent / "tcmpay" / "settings.py"
# Compiled once: most of a load's time would go into that.
CODE = compile(SETTINGS.read_bytes(), str(SETTINGS), "exec")


def load(environment: dict[str, str]) -> dict[str, str]:
    os.environ.clear()
    os.environ.update(environment)
    try:
        found = {"__name__": "settings", "__file__": str(SETTINGS)}
        exec(CODE, found)
    except SystemExit as refusal:
        return {"refused": str(refusal), "settings": ""}
    settings = {
        name: repr(astuple(value) if is_dataclass(value) else value)
        for name, value in found.items()
        if name.isupper() and name not in MADE_ANEW
    }
    return {"refused": "", "settings": digest(settings)}


def digest(settings: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


if __name__ == "__main__":
    for line in sys.stdin:
        sys.stdout.write(json.dumps(load(json.loads(line))) + "\n")
        sys.stdout.flush()
