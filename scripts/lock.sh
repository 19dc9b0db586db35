#!/usr/bin/env bash
# Writes the pinned, hashed requirement files from their .in files:
#   requirements/base.txt  what the product runs on without a compiler
#   requirements.txt       "-r requirements/base.txt" and what production and CI add
#   requirements/dev.txt   everything, for development
#   requirements/load.txt  locust for `make load`, in an environment of its own
#   requirements/observability.txt  Sentry and OpenTelemetry, for whoever sets them up
# Versions of before are kept where they still fit; UPGRADE=1 takes the newest.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v uv >/dev/null || { echo "需要 uv / uv is needed: pip install uv" >&2; exit 1; }

compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        ${UPGRADE:+--upgrade} "$@"
}

compile requirements/base.in -o requirements/base.txt
compile requirements/dev.in -c requirements/base.txt -o requirements/dev.txt
compile requirements/load.in -o requirements/load.txt
compile requirements/observability.in -c requirements/base.txt -o requirements/observability.txt

# The rest of production.in, and only that: pip refuses a package that is pinned twice.
full=$(mktemp)
trap 'rm -f "$full"' EXIT
[ -n "${UPGRADE:-}" ] || cp requirements/dev.txt "$full"
compile requirements/production.in -c requirements/dev.txt --no-header -o "$full"
python3 - requirements/base.txt "$full" <<'PYTHON' >requirements.txt
import re, sys
base, full = (open(path, encoding="utf-8").read() for path in sys.argv[1:])
print("# What production installs. Written by `make lock`.")
print("-r requirements/base.txt")
pinned = set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==", base, re.M))
for block in re.split(r"^(?=[A-Za-z0-9])", full, flags=re.M):
    name = re.match(r"[A-Za-z0-9._-]+", block)
    if name and name.group() not in pinned:
        lines = [line for line in block.splitlines() if "-c requirements/" not in line]
        text = "\n".join(lines)
        print(re.sub(r"# via\n +# +(.+)$", r"# via \1", text))
PYTHON
