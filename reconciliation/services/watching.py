"""Whether days are closed in time: what can be closed is said, and what is late is an alarm."""

import logging

from reconciliation.stand import day_stand, days_late, days_waiting
from reconciliation.states import DayState

logger = logging.getLogger(__name__)


def closing_watch() -> int:
    """Say which day could be closed now, and raise the alarm about days that are late; returns how
    many are."""
    waiting = days_waiting()
    if not waiting:
        return 0
    stand = day_stand(waiting[0])
    told = {"day": stand.day.isoformat(), "reason": ",".join(one.code for one in stand.blocks)}
    if late := days_late():
        logger.error("day_not_closed", extra=told | {"waiting": len(late)})
    elif stand.state is DayState.READY:
        logger.info("day_ready_to_close", extra=told)
    return len(late)
