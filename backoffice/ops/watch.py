"""Our own watch over the table of alarms, for whoever has no Prometheus: what fires is told once,
again after a while, and once more when it is over.

States are rows, locked while they are judged: two watches, or one that was restarted, tell once.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import IntegrityError
from django.utils.translation import gettext as _

from backoffice.models import AlarmState
from backoffice.ops.alarms import ALARMS, Alarm, Finding, Severity, beyond
from backoffice.ops.figures import figures
from tcmpay.common import clock
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.db import money_unit
from tcmpay.notifications.services import notify

# A figure that comes and goes at its bound is one alarm.
WELL_FOR = timedelta(minutes=5)
RUNBOOK = "docs/runbook.md"
ALARM_BY_NAME: Mapping[str, Alarm] = {alarm.name: alarm for alarm in ALARMS}


class Turn(StrEnum):
    """What is told of an alarm."""

    FIRING = "firing"
    STILL = "still_firing"
    RECOVERED = "recovered"


@dataclass(frozen=True, slots=True)
class Told:
    alarm: Alarm
    state: AlarmState
    turn: Turn


def alarms_watch() -> int:
    """Judge all alarms and tell what has changed; of how many something was told."""
    found = {one.key: one for one in beyond(ALARMS, figures())}
    try:
        return _judge(found)
    except IntegrityError:
        return 0  # another watch wrote the same alarm down at this moment


@money_unit
def _judge(found: Mapping[str, Finding]) -> int:
    now = clock.now()
    states = {row.key: row for row in AlarmState.objects.select_for_update().order_by("key")}
    told: list[Told] = []
    for key, finding in found.items():
        state = states.pop(key, None) or AlarmState(key=key, began_at=now)
        state.value, state.well_since = min(finding.value, 1e300), None
        told += _turn_of(finding.alarm, state, now)
        state.save()
    for key, state in states.items():
        alarm = ALARM_BY_NAME.get(key.partition("{")[0])
        told += _recovery_of(alarm, state, now)
    for severity in Severity:
        _tell(severity, [one for one in told if one.alarm.severity == severity])
    return len(told)


def _turn_of(alarm: Alarm, state: AlarmState, now: datetime) -> list[Told]:
    if state.fired_at is None:
        if now - state.began_at < timedelta(seconds=alarm.for_seconds):
            return []
        state.fired_at = now
    if _is_quiet(alarm.severity, now):
        return []
    if state.told_at is None:
        state.told_at = now
        return [Told(alarm, state, Turn.FIRING)]
    minutes = settings.ALARMING.repeat_minutes
    if not minutes or now - state.told_at < timedelta(minutes=minutes):
        return []
    state.told_at = now
    return [Told(alarm, state, Turn.STILL)]


def _recovery_of(alarm: Alarm | None, state: AlarmState, now: datetime) -> list[Told]:
    """``alarm``: None for one that the table has no more."""
    if alarm is not None and state.fired_at is not None:
        if state.well_since is None:
            state.well_since = now
            state.save(update_fields=["well_since"])
        if now - state.well_since < WELL_FOR:
            return []
        # Told in the evening and over in the night: told in the morning.
        if state.told_at is not None and _is_quiet(alarm.severity, now):
            return []
    AlarmState.objects.filter(key=state.key).delete()
    was_told = alarm is not None and state.told_at is not None
    return [Told(alarm, state, Turn.RECOVERED)] if alarm and was_told else []


def _is_quiet(severity: Severity, now: datetime) -> bool:
    hours = settings.ALARMING.quiet_hours
    is_mild = severity == Severity.WARNING
    return is_mild and hours is not None and hours.holds(now.astimezone(SHANGHAI).time())


# --- telling ------------------------------------------------------------------------------------


def _tell(severity: Severity, told: list[Told]) -> None:
    """One message for all of a severity that changed."""
    if not told:
        return
    firing = sum(one.turn != Turn.RECOVERED for one in told)
    counts = {"firing": firing, "over": len(told) - firing, "name": settings.CLINIC_NAME}
    words = {Severity.CRITICAL: _("严重"), Severity.WARNING: _("提醒")}
    title = _("%(name)s支付：报警 %(firing)d 项，恢复 %(over)d 项") % counts
    notify(
        f"[{words[severity]}] {title}",
        "\n".join(_line(one) for one in told),
        facts={"severity": str(severity), "alarms": [_facts(one) for one in told]},
        channels=settings.ALARMING.warning_channels if severity == Severity.WARNING else None,
    )


def _line(one: Told) -> str:
    turns = {
        Turn.FIRING: _("报警"),
        Turn.STILL: _("仍在报警"),
        Turn.RECOVERED: _("已恢复"),
    }
    facts = {
        "turn": turns[one.turn],
        "title": one.alarm.title,
        "key": one.state.key,
        "value": _number(one.state.value),
        "since": f"{one.state.began_at.astimezone(SHANGHAI):%Y-%m-%d %H:%M}",
        "place": f"{RUNBOOK}#{one.alarm.name.lower()}",
    }
    text = _("%(turn)s：%(title)s（%(key)s = %(value)s，自 %(since)s 起；怎么办：%(place)s）")
    return text % facts


def _facts(one: Told) -> dict[str, Any]:
    return {
        "key": one.state.key,
        "name": one.alarm.name,
        "state": str(one.turn),
        "summary": str(one.alarm.title),
        "value": _number(one.state.value),
        "since": one.state.began_at.isoformat(),
        "runbook": f"{RUNBOOK}#{one.alarm.name.lower()}",
    }


def _number(value: float) -> str:
    return "∞" if value >= 1e300 or math.isinf(value) else f"{value:g}"


def firing() -> Iterable[AlarmState]:
    """The alarms that fire now, the longest first."""
    return AlarmState.objects.exclude(fired_at=None).order_by("fired_at", "key")
