from celery import shared_task

from backoffice import services


@shared_task(name="backoffice.keep_day_totals")
def keep_day_totals() -> int:
    return services.day_totals_catch_up()
