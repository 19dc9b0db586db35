#!/usr/bin/env bash
# Writes clients/ anew from the API's description: the description itself, types by the pinned
# generators (clients/requirements.txt, clients/typescript/package-lock.json), methods and the
# collection by clients/generate.py. Needs npm and the package registries once.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v npm >/dev/null || { echo "需要 npm / npm is needed" >&2; exit 1; }
[ -x clients/.venv/bin/datamodel-codegen ] || {
    python3 -m venv clients/.venv
    clients/.venv/bin/pip install --quiet --requirement clients/requirements.txt
}
[ -d clients/typescript/node_modules ] || npm --prefix clients/typescript ci --no-audit --no-fund --silent

(. scripts/environment.sh && .venv/bin/python manage.py spectacular --format openapi-json --lang en \
    --file clients/openapi.json >/dev/null)
clients/.venv/bin/datamodel-codegen --input clients/openapi.json --input-file-type openapi \
    --output clients/python/src/tcmpay_client/_models.py --output-model-type typing.TypedDict \
    --target-python-version 3.11 --enum-field-as-literal all --use-union-operator \
    --use-standard-collections --use-schema-description --disable-timestamp --use-double-quotes \
    --formatters builtin
rm -rf clients/bruno clients/typescript/types
mkdir clients/typescript/types
.venv/bin/python clients/generate.py clients/openapi.json clients
npm --prefix clients/typescript run --silent types
.venv/bin/python clients/generate.py --sums clients
