from celery import shared_task

from backoffice.exports import services as exports
from backoffice.ops import laws, watch
from backoffice.today import services as day_totals


@shared_task(name="backoffice.keep_day_totals")
def keep_day_totals() -> int:
    return day_totals.day_totals_catch_up()


@shared_task(name="backoffice.watch_alarms")
def watch_alarms() -> int:
    return watch.alarms_watch()


# These run longer than the broker waits for an answer; one that was interrupted is missed by its
# alarm, and made up for by the next.
@shared_task(
    name="backoffice.check_recent_laws", acks_late=False, soft_time_limit=800, time_limit=860
)
def check_recent_laws() -> int:
    return laws.recent_run()


@shared_task(
    name="backoffice.check_all_laws", acks_late=False, soft_time_limit=14_400, time_limit=14_460
)
def check_all_laws() -> int:
    return laws.whole_run_if_due()


# Acknowledged at once: an export runs longer than the broker waits for an answer. One that was
# interrupted is found again by the sweep.
@shared_task(
    name="backoffice.run_exports", acks_late=False, soft_time_limit=3_000, time_limit=3_060
)
def run_exports() -> int:
    return exports.exports_run()
