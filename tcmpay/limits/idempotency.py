"""``Idempotency-Key`` on money-moving POSTs (CONTRACT section 3)."""

import functools
import hashlib
import json
import logging
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import Error as DatabaseError
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import is_success

from tcmpay.common.api.exceptions import contract_exception_handler
from tcmpay.common.api.views import actor_of
from tcmpay.common.db import CommitUnknown, drop_lost_connection
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.limits.errors import IdempotencyInProgress, IdempotencyKeyReused
from tcmpay.limits.services import Claim, key_claim, key_complete, key_doubt, key_release

logger = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
_KEY = re.compile(r"[\x20-\x7e]{1,255}")

Action = Callable[..., Response]
# Given the key's id, the answer that an effect already in the database deserves, or None.
Recover = Callable[[UUID], Response | None]


def idempotent(recover: Recover) -> Callable[[Action], Action]:
    """Run the action once per key; the same key and body give the first answer again.

    The action finds the claimed key's id in ``request.idempotency_key_id`` and stores it with
    the row it creates, in the same commit: when its holder dies before answering, the next one
    finds the effect by that row.
    """

    def decorate(action: Action) -> Action:
        @functools.wraps(action)
        def wrapper(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            request.idempotency_key_id = None  # type: ignore[attr-defined]
            key = request.headers.get(HEADER)
            if key is None:
                return action(view, request, *args, **kwargs)
            return _run_with_key(key, recover, action, view, request, *args, **kwargs)

        # For the API description.
        wrapper.refusals = (IdempotencyKeyReused, IdempotencyInProgress)  # type: ignore[attr-defined]
        wrapper.is_idempotent = True  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _run_with_key(
    key: str,
    recover: Recover,
    action: Action,
    view: Any,
    request: Request,
    *args: Any,
    **kwargs: Any,
) -> Response:
    claim = key_claim(
        caller_id=_caller_id(request),
        key=_checked(key),
        fingerprint=_fingerprint(request),
    )
    if claim.response_status is not None:
        return _replayed(Response(claim.response_body, status=claim.response_status))
    if claim.is_takeover and (found := recover(claim.key_id)) is not None:
        _keep(claim, found)
        return _replayed(found)
    request.idempotency_key_id = claim.key_id  # type: ignore[attr-defined]
    is_lasting = False
    try:
        response = action(view, request, *args, **kwargs)
    except Exception as error:
        is_lasting = _is_lasting(error)
        drop_lost_connection(error)
        response = contract_exception_handler(error, {"view": view, "request": request})
        if _may_have_happened(claim, response) and (found := recover(claim.key_id)):
            response = found
        elif isinstance(error, CommitUnknown):
            key_doubt(claim)
            return response
    _keep(claim, response, is_lasting=is_lasting)
    return response


def _is_lasting(refusal: Exception) -> bool:
    """Whether the same request would be refused so again, whatever happens meanwhile."""
    if isinstance(refusal, DomainError):
        return refusal.is_lasting
    return isinstance(refusal, ValidationError)


def _may_have_happened(claim: Claim, response: Response) -> bool:
    """Whether the effect has to be looked for before the refusal is believed.

    A failure may come after the commit, or at it. And the holder that this one took over from
    may have been slow instead of dead: what refuses this request is then its own effect.
    """
    return response.status_code >= 500 or claim.is_takeover


def _checked(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise InvalidInput({HEADER: [str(_("幂等键应为 1–255 个可打印 ASCII 字符"))]})
    return key


def _caller_id(request: Request) -> UUID:
    caller_id = actor_of(request).id
    if caller_id is None:
        raise ValueError("idempotency keys belong to a caller")
    return caller_id


def _fingerprint(request: Request) -> str:
    content = [request.method, request.path, request.data]
    canonical = json.dumps(content, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _keep(claim: Claim, response: Response, *, is_lasting: bool = False) -> None:
    """Keep a success and a lasting refusal; free the key of whatever may turn out otherwise.

    The request is done by now: a database that goes away here costs the answer's copy, not the
    answer. Whoever asks again after the lease finds the effect by its row.
    """
    try:
        if is_success(response.status_code) or is_lasting:
            key_complete(claim, response_status=response.status_code, response_body=response.data)
        elif claim.is_takeover:
            # The holder before may be slow instead of dead: its effect carries this key's id.
            key_doubt(claim)
        else:
            key_release(claim)
    except DatabaseError:
        logger.exception("idempotency_answer_not_kept", extra={"key": str(claim.key_id)})


def _replayed(response: Response) -> Response:
    response.headers[REPLAYED] = "true"
    return response
