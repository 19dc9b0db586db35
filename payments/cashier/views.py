"""The cashier's page, and what its forms and its script ask for.

The token in the path is the authority: no cookie, no session, no sign-in. So there is nothing that
another site could make a payer's browser send along, and a form needs no token of its own: who
does not know the link can't write the address, and who knows it may do what it allows.
"""

import io
from typing import Any

import segno
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse

from payments.cashier.doors import Asked, for_link, page_of, wants_json
from payments.cashier.links import LinkInvalid
from payments.cashier.paying import is_offered, payment_check, payment_start
from payments.cashier.returning import return_address
from payments.cashier.state import (
    OpenAttempt,
    State,
    attempt_mark,
    open_attempt,
    order_of,
    state_of,
    status_now,
)
from payments.cashier.ways import NATIVE, is_in_wechat, ways_for
from payments.errors import OrderExpired, OrderNotPayable
from payments.models import PaymentOrder
from payments.services.attempts import PayResult
from tcmpay.common import clock
from tcmpay.common.client_address import client_address
from tcmpay.common.errors import DomainError
from tcmpay.common.money import format_money


@for_link("GET", "HEAD")
def page(asked: Asked) -> HttpResponse:
    return shown(asked, order_of(asked.link.order_id))


@for_link("POST")
def start(asked: Asked) -> HttpResponse:
    """Start paying; answers where to go on, or shows why not."""
    order = order_of(asked.link.order_id)
    try:
        result = payment_start(
            order=order,
            link=asked.link,
            way_code=asked.request.POST.get("way", ""),
            back_url=asked.address("cashier-back"),
            client_ip=client_address(asked.request.META),
        )
    except (OrderNotPayable, OrderExpired):
        return _go(asked, asked.path("cashier"))  # the page says how it stands by now
    except DomainError as refusal:
        if wants_json(asked.request):
            raise
        return shown(asked, order, refusal)
    return _started(asked, result)


@for_link("GET", "POST")
def back(asked: Asked) -> HttpResponse:
    """The payer comes back from the gateway, which may know more than we were told yet.

    What a gateway adds to this address proves nothing and is left behind.
    """
    payment_check(order_of(asked.link.order_id))
    if wants_json(asked.request):
        return _status(asked)
    return _go(asked, asked.path("cashier"))


@for_link("GET")
def status(asked: Asked) -> HttpResponse:
    return _status(asked)


@for_link("GET", "HEAD", "POST")
def missing(asked: Asked) -> HttpResponse:
    raise LinkInvalid()


def _status(asked: Asked) -> HttpResponse:
    return JsonResponse(status_now(asked.link.order_id))


def _started(asked: Asked, result: PayResult) -> HttpResponse:
    """A code is shown by the page; elsewhere the payer is sent, or WeChat is handed the order."""
    if not wants_json(asked.request):
        return _go(asked, asked.path("cashier"))
    if result.start.prepay_data:
        return JsonResponse({"jsapi": dict(result.start.prepay_data)})
    return JsonResponse({"go": result.start.payment_url or asked.path("cashier")})


def _go(asked: Asked, path: str) -> HttpResponse:
    if wants_json(asked.request):
        return JsonResponse({"go": path})
    response = HttpResponseRedirect(path)
    response.status_code = 303
    return response


def shown(asked: Asked, order: PaymentOrder, refusal: DomainError | None = None) -> HttpResponse:
    """The page as the order stands; ``refusal`` is why what was just asked for did not work."""
    state = state_of(order.status, order.expire_time)
    attempt = open_attempt(order.id) if state.is_waiting else None
    context = {
        "order": order,
        "amount": format_money(order.amount),
        "state": state,
        "is_waiting": state.is_waiting,
        "refusal": refusal,
        "seconds_left": max(0, int((order.expire_time - clock.now()).total_seconds())),
        "attempt": attempt_mark(attempt.id) if attempt else "",
        "return_address": return_address(asked.link, order),
        **(_choices(asked, attempt) if state is State.OPEN else {}),
    }
    return page_of(asked, "page", context, status=refusal.http_status if refusal else 200)


def _choices(asked: Asked, attempt: OpenAttempt | None) -> dict[str, Any]:
    """How it can be paid here, and what was begun already."""
    agent = asked.request.META.get("HTTP_USER_AGENT", "")
    here = ways_for(agent, has_openid=bool(asked.link.openid))
    offered = {method: is_offered(method) for method in {way.method for way in here}}
    ways = [way for way in here if offered[way.method]]
    begun = attempt.way if attempt else None
    # Nobody scans the screen of the phone in hand.
    is_code = attempt is not None and bool(attempt.qr_code) and begun == NATIVE and NATIVE in here
    return {
        "ways": [way for way in ways if not (is_code and way == NATIVE)],
        "is_elsewhere": is_in_wechat(agent) and not here,
        "begun": begun,
        "code": _drawn(attempt.qr_code) if attempt and is_code else "",
        # For browsers without scripts; the others fetch a fresh one.
        "onward": attempt.payment_url if attempt and begun in ways and not is_code else "",
    }


def _drawn(code: str) -> str:
    """The QR code as SVG without any style of its own."""
    drawing = io.BytesIO()
    segno.make(code, error="m").save(
        drawing, kind="svg", xmldecl=False, svgns=False, scale=1, border=4, omitsize=True
    )
    return drawing.getvalue().decode()
