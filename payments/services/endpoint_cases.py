"""Endpoints of the platform that were disabled by themselves: a case each, for a person.

The room of webhooks marks its row in the same commit; this is asked for by the sweep. The case
settles itself once somebody enabled the endpoint.
"""

from uuid import UUID

from django.utils.translation import gettext as _

from payments.models import PaymentException
from payments.services.exceptions import exception_end, exception_open
from payments.states import ExceptionKind, ExceptionOutcome
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.clock import SHANGHAI
from tcmpay.common.db import money_unit
from tcmpay.common.fields import as_uuid_or_text
from webhooks.models import WebhookEndpoint
from webhooks.states import DisabledBecause

# A case of this kind is about no way of paying.
NO_METHOD = ""


def endpoint_cases_keep() -> int:
    """Open what is missing, settle what is over; returns how many."""
    opened = sum(_open(endpoint) for endpoint in WebhookEndpoint.objects.disabled_by_itself())
    cases = PaymentException.objects.filter(kind=ExceptionKind.ENDPOINT_DISABLED, closed_at=None)
    return opened + sum(_settle(case.id) for case in cases)


@money_unit
def _open(endpoint: WebhookEndpoint) -> bool:
    because = DisabledBecause(endpoint.disabled_because)
    since = (endpoint.disabled_at or clock.now()).astimezone(SHANGHAI)
    text = _("推送地址 %(url)s 已于 %(since)s 自动停用：%(because)s") % {
        "url": endpoint.url,
        "since": since.strftime("%Y-%m-%d %H:%M"),
        "because": because.label,
    }
    return exception_open(
        ExceptionKind.ENDPOINT_DISABLED,
        method=NO_METHOD,
        fact=str(endpoint.id),
        reason=text,
        actor=SYSTEM,
    )


@money_unit
def _settle(case_id: UUID) -> bool:
    case = PaymentException.objects.select_for_update().get(id=case_id)
    endpoint = WebhookEndpoint.objects.filter(id=as_uuid_or_text(case.subject)).first()
    if case.closed_at is not None or (endpoint is not None and not endpoint.is_enabled):
        return False
    exception_end(case, SYSTEM, _("推送地址已重新启用"), ExceptionOutcome.SETTLED)
    return True
