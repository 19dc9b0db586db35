"""What of a case is said alike on its page, in the list and in an export."""

from django.utils.translation import gettext

from backoffice.site.display import NEUTRAL, RUNNING, WAITING
from payments.models import PaymentException


def case_state(case: PaymentException) -> tuple[str, str]:
    """How far a case is, in words, and the tone to say it in."""
    if case.closed_at is not None:
        return str(case.get_outcome_display()), NEUTRAL
    if case.write_off_by is not None:
        return gettext("核销待确认"), RUNNING
    return gettext("待处理"), WAITING
