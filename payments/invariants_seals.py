"""The logs about gateways, sealed by the hour: rows that are gone from their ends show (E9, E10).

Each log is chained by subject up to its head, and the heads lie in the same database: a chain that
is cut and given another head is sound. What was sealed before says that it was longer.
"""

from collections.abc import Iterator

from payments.models import GatewayExchange, PaymentCallback
from tcmpay.audit.seals import Chain, check_roots
from tcmpay.common.invariants import Scope, Violation

CALLBACKS = Chain(PaymentCallback, "E9", moment="received_at", hashed="log_hash")
EXCHANGES = Chain(GatewayExchange, "E9", moment="asked_at", hashed="log_hash")


def check_sealed_callbacks(scope: Scope) -> Iterator[Violation]:
    yield from check_roots(CALLBACKS, "", scope)


def check_sealed_exchanges(scope: Scope) -> Iterator[Violation]:
    yield from check_roots(EXCHANGES, "", scope)


CHECKS = (check_sealed_callbacks, check_sealed_exchanges)
