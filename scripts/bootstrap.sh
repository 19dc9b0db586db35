#!/usr/bin/env bash
# Makes .venv and brings it to one requirement set:
#
#   scripts/bootstrap.sh requirements/base.txt     # the demo: no compiler needed
#   scripts/bootstrap.sh requirements/dev.txt      # tests and checks
#
# PYTHON=/path/to/python chooses the interpreter, VENV another environment than .venv.
# Runs on bash 3.2 (macOS).
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=${1:?usage: scripts/bootstrap.sh REQUIREMENTS_FILE}
venv=${VENV:-.venv}

die() {
    echo "$*" >&2
    exit 1
}

# 0: usable, 3: too old, 4: no venv module, anything else: no such program.
python_state() {
    "$1" - <<'PYTHON' 2>/dev/null
import sys
if sys.version_info < (3, 11):
    sys.exit(3)
try:
    import ensurepip, sqlite3, ssl, venv  # Debian ships ensurepip in a package of its own
except ImportError:
    sys.exit(4)
PYTHON
}

# Built by a distribution or with its optimisations, which makes all work a tenth quicker, and
# with what the database driver is compiled against.
is_quick() {
    "$1" - <<'PYTHON' 2>/dev/null
import os, sys, sysconfig
is_optimised = "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
has_headers = os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h"))
sys.exit(not (has_headers and (is_optimised or sys.base_prefix == "/usr")))
PYTHON
}

# The first that is quick, or else the first; the one that was asked for in any case.
find_python() {
    local candidate candidates state python_any="" without_venv=""
    candidates=$(type -aP ${PYTHON:-python3.13 python3.12 python3.11 python3}) || true
    while IFS= read -r candidate; do
        state=0
        python_state "$candidate" || state=$?
        case $state in
            0)
                python_any=${python_any:-$candidate}
                if [ -n "${PYTHON:-}" ] || is_quick "$candidate"; then python=$candidate; return; fi
                ;;
            4) without_venv=${without_venv:-$candidate} ;;
        esac
    done <<<"$candidates"
    if [ -n "$python_any" ]; then python=$python_any; return; fi
    if [ -n "$without_venv" ]; then
        local version
        version=$("$without_venv" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        die "$without_venv 缺少 venv 模块 / lacks the venv module: apt install python$version-venv"
    fi
    die "需要 Python 3.11 或更新版本 / Python 3.11 or newer is needed${PYTHON:+ (PYTHON=$PYTHON is not)}: apt install python3 python3-venv | brew install python@3.13"
}

# A changed set, or a changed interpreter, means installing again; nothing else does.
fingerprint() {
    "$venv/bin/python" - "$1" <<'PYTHON'
import hashlib, pathlib, re, sys
digest = hashlib.sha256(sys.version.encode())
def add(path):
    content = path.read_bytes()
    digest.update(content)
    for included in re.findall(rb"^-r (\S+)", content, re.M):
        add(path.parent / included.decode())
add(pathlib.Path(sys.argv[1]))
print(digest.hexdigest())
PYTHON
}

if ! python_state "$venv/bin/python"; then
    find_python
    echo "创建环境 / Creating the environment in $venv with $("$python" -V)"
    "$python" -m venv --clear "$venv" || die "无法创建 / Cannot create $venv with $python"
fi

stamp=$venv/.installed-$(basename "$requirements" .txt)
wanted=$(fingerprint "$requirements")
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then
    exit 0
fi

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
echo "安装依赖 / Installing $requirements (the first time takes a minute)"
# One SDK comes as source only (plain Python); --use-pep517 builds it the same way on every Python.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
    --use-pep517 --require-hashes -r "$requirements" ||
    die "安装失败，原因见上 / Installing $requirements failed, the reason is above; run the command again to retry"
echo "$wanted" >"$stamp"
