"""The test button: one message now, whatever waits, and its answer for whoever pressed it."""

from uuid import UUID

from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import Actor
from tcmpay.common.db import money_unit
from tcmpay.common.ids import new_id
from webhooks.errors import EndpointNotFound
from webhooks.models import WebhookEndpoint, WebhookTry
from webhooks.services.delivery import try_of
from webhooks.services.endpoints import endpoint_keys, endpoint_lock
from webhooks.services.sending import Answer, Message, message_send
from webhooks.shape import message_body, ping_shape


def endpoint_ping(*, actor: Actor, endpoint_id: UUID) -> WebhookTry:
    """Send a ``ping``, also to one that is disabled; the try, as the log keeps it (its
    ``answer``, ``http_status``, ``problem``, ``took_ms``). Whether the endpoint is healthy is not
    judged by it.

    Raises EndpointNotFound, SecretUnreadable.
    """
    endpoint = WebhookEndpoint.objects.filter(id=endpoint_id).first()
    if endpoint is None:
        raise EndpointNotFound()
    event_id = new_id()
    body = message_body(ping_shape(event_id, endpoint.id, clock.now()))
    keys = tuple(endpoint_keys(endpoint))
    answer = message_send(Message(endpoint.url, str(event_id), body, keys))
    return _kept(actor, endpoint_id, answer)


@money_unit
def _kept(actor: Actor, endpoint_id: UUID, answer: Answer) -> WebhookTry:
    endpoint = endpoint_lock(endpoint_id)
    row = try_of(endpoint_id, answer, clock.now())
    row.save(force_insert=True)
    audit_record(
        object_type=endpoint.AUDIT_OBJECT,
        object_id=endpoint.id,
        action="endpoint_pinged",
        actor=actor,
        from_state=endpoint.status,
        to_state=endpoint.status,
        details={"http_status": answer.http_status or 0, "problem": str(answer.problem)},
        row=endpoint,
    )
    return row
