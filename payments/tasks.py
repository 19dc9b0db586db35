from celery import shared_task

from payments.services import activations, endings, silence, stuck, sweeping


@shared_task(name="payments.expire_orders")
def expire_orders() -> int:
    return endings.orders_expire().expired


@shared_task(name="payments.sweep_attempts")
def sweep_attempts() -> int:
    done = sweeping.attempts_sweep() + silence.gateways_silent_report()
    done += stuck.attempts_stuck_report()
    activations.activations_watch()
    return done
