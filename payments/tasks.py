from celery import shared_task

from payments.services import activations, endings, silence, stuck, sweeping


@shared_task(name="payments.expire_orders")
def expire_orders() -> int:
    return endings.orders_expire().expired


@shared_task(name="payments.sweep_attempts")
def sweep_attempts() -> int:
    # First what asks nobody: a sweep that is cut short must not cost the word of the silence.
    done = silence.gateways_silent_report() + sweeping.attempts_sweep()
    done += stuck.attempts_stuck_report()
    activations.activations_watch()
    return done
