from celery import shared_task

from payments.services import activations, endings, stuck, sweeping


@shared_task(name="payments.expire_orders")
def expire_orders() -> int:
    return endings.orders_expire().expired


@shared_task(name="payments.sweep_attempts")
def sweep_attempts() -> int:
    swept = sweeping.attempts_sweep() + stuck.attempts_stuck_report()
    activations.activations_watch()
    return swept
