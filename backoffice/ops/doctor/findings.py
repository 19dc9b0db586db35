"""What the doctor says: a level, what it is about, what was seen, and what to do."""

from collections.abc import Iterable, Mapping

from gateways.findings import Finding, Level
from gateways.texts import Text

EXIT_CODES: Mapping[Level, int] = {"ok": 0, "warning": 3, "error": 1}
_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "ok": 2}


def error(key: str, message: Text, fix: Text) -> Finding:
    return Finding("error", key, message, fix)


def warning(key: str, message: Text, fix: Text) -> Finding:
    return Finding("warning", key, message, fix)


def fine(key: str, message: Text) -> Finding:
    return Finding("ok", key, message)


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda finding: _ORDER[finding.level])


def worst_level(findings: Iterable[Finding]) -> Level:
    return min((finding.level for finding in findings), key=_ORDER.__getitem__, default="ok")
