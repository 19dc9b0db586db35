#!/usr/bin/env bash
# Known advisories against the pinned packages. Exit code 0: none; 1: some; 2: nobody could be asked.
set -uo pipefail
cd "$(dirname "$0")/.."

output=$(.venv/bin/python -m pip_audit --progress-spinner off --disable-pip --require-hashes \
    -r requirements.txt -r requirements/base.txt 2>&1)
code=$?
echo "$output"
# A mirror without advisories says so per package, and pip-audit takes that for success.
skipped=$(grep -c 'could not be audited' <<<"$output")
pinned=$(grep -hE '^[A-Za-z0-9._-]+(\[[^]]*\])?==' requirements.txt requirements/base.txt | wc -l)
case $code in
    0)
        if [ "$skipped" -ge "$pinned" ]; then
            echo "无法访问漏洞库，没有检查任何内容 / The index of advisories could not be reached: NOTHING was checked" >&2
            exit 2
        fi
        if [ "$skipped" -gt 0 ]; then
            echo "$skipped / $pinned 个软件包未能检查，见上 / packages could not be checked, see above" >&2
            exit 2
        fi
        echo "没有已知漏洞 / No known advisory against the $pinned pinned packages"
        ;;
    *)
        if grep -qiE 'ConnectionError|Max retries|ServiceError|NameResolution|timed out|ProxyError|connection' <<<"$output"; then
            echo "无法访问漏洞库，没有检查任何内容 / The index of advisories could not be reached: NOTHING was checked" >&2
            exit 2
        fi
        echo "发现漏洞或检查失败，见上 / Advisories found, or the check failed: see above" >&2
        exit 1
        ;;
esac
