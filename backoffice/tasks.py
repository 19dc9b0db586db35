from celery import shared_task

from backoffice.exports import services as exports
from backoffice.ops import watch
from backoffice.today import services as day_totals


@shared_task(name="backoffice.keep_day_totals")
def keep_day_totals() -> int:
    return day_totals.day_totals_catch_up()


@shared_task(name="backoffice.watch_alarms")
def watch_alarms() -> int:
    return watch.alarms_watch()


# Acknowledged at once: an export runs longer than the broker waits for an answer. One that was
# interrupted is found again by the sweep.
@shared_task(
    name="backoffice.run_exports", acks_late=False, soft_time_limit=3_000, time_limit=3_060
)
def run_exports() -> int:
    return exports.exports_run()
