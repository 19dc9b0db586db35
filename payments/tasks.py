from celery import shared_task

from payments.invariants_seals import CALLBACKS, EXCHANGES
from payments.services import (
    activations,
    day_figures,
    endings,
    endpoint_cases,
    retention,
    silence,
    stuck,
    sweeping,
)
from tcmpay.audit.roots import chain_seal_and_tell


@shared_task(name="payments.expire_orders")
def expire_orders() -> int:
    return endings.orders_expire().expired


@shared_task(name="payments.sweep_attempts")
def sweep_attempts() -> int:
    # First what asks nobody: a sweep that is cut short must not cost the word of the silence.
    done = silence.gateways_silent_report() + sweeping.attempts_sweep()
    done += stuck.attempts_stuck_report() + endpoint_cases.endpoint_cases_keep()
    activations.activations_watch()
    return done


@shared_task(name="payments.seal_logs")
def seal_logs() -> int:
    return sum(chain_seal_and_tell(chain) is not None for chain in (CALLBACKS, EXCHANGES))


@shared_task(name="payments.keep_day_figures")
def keep_day_figures() -> int:
    return day_figures.figures_keep()


@shared_task(name="payments.trim_callback_bodies")
def trim_callback_bodies() -> int:
    return retention.bodies_trim()
