"""The client: every call of the API as a method, typed, with what goes beyond one call."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tcmpay_client import _models as models
from tcmpay_client._operations import DECIMAL_FIELDS, Operations
from tcmpay_client.money import with_decimals
from tcmpay_client.transport import Answer, Call, Patience, Transport


class Tcmpay(Operations):
    """``token`` is a platform token, or what gives a fresh one at every call.

    Amounts are Decimal in yuan. Every method raises Refused (branch on its ``code``) or NoAnswer.
    """

    def __init__(
        self,
        base_url: str,
        token: str | Callable[[], str] | None = None,
        *,
        timeout_seconds: float = 15.0,
        patience: Patience | None = None,
        language: str = "zh-hans",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._transport = Transport(
            base_url,
            token,
            timeout_seconds=timeout_seconds,
            patience=patience,
            language=language,
            sleep=sleep,
        )

    def _call(self, call: Call) -> Any:
        return _data_of(self._transport.send(call))

    def orders(self, **filters: Any) -> Iterator[models.Order]:
        """Every order that ``list_orders`` would list, however many, none missed or repeated."""
        return self._all(self.list_orders, "orders", filters)

    def refunds(self, **filters: Any) -> Iterator[models.Refund]:
        """Every refund that ``list_refunds`` would list."""
        return self._all(self.list_refunds, "refunds", filters)

    def events(self, after: int = 0, *, types: str | None = None) -> Iterator[models.Event]:
        """Every event after the sequence ``after`` that there is by now, in order: from it a
        receiver that was away rebuilds what it missed."""
        while (page := self.list_events(after=after, types=types, limit=500))["events"]:
            yield from page["events"]
            after = page["next_after"]

    def wait_for_order(
        self, order_id: str, *, seconds_max: float = 120.0, every_seconds: float = 2.0
    ) -> models.Order:
        """The order once it is not ``pending`` any more, or as it is after ``seconds_max``.

        Asks cheaply: while nothing changed the answer has no body.
        """
        call = Call("GET", f"/api/v1/payment/orders/{order_id}")
        answer = self._transport.send(call)
        order: models.Order = _data_of(answer)
        waited = 0.0
        while order["status"] == "pending" and waited < seconds_max:
            self._sleep(every_seconds)
            waited += every_seconds
            etag = answer.headers.get("etag")
            answer = self._transport.send(Call("GET", call.path, if_none_match=etag))
            if answer.status != 304:
                order = _data_of(answer)
        return order

    @staticmethod
    def _all(page_of: Callable[..., Any], rows: str, filters: dict[str, Any]) -> Iterator[Any]:
        cursor: str | None = ""
        while cursor is not None:
            page = page_of(**{"page_size": 100} | filters, cursor=cursor)
            yield from page[rows]
            cursor = page.get("next_cursor")


def _data_of(answer: Answer) -> Any:
    if answer.status == 304 or not answer.is_json:
        return answer.body.decode() or None
    return with_decimals(json.loads(answer.body)["data"], DECIMAL_FIELDS)
