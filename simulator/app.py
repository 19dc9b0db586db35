"""The WSGI application: both gateways, control and human pages under one address."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any
from urllib.parse import quote, urlsplit
from wsgiref.headers import Headers

from simulator import cashier, clock, control, faults, pages
from simulator.alipay import api as alipay
from simulator.alipay import bills as alipay_bills
from simulator.alipay import trades as alipay_trades
from simulator.machine import Machine
from simulator.web import Request, Response, html_response, json_response, redirect
from simulator.wechat import api as wechat
from simulator.wechat import bills as wechat_bills
from simulator.wechat.routes import ROUTES

log = logging.getLogger("simulator.app")

BODY_MAX = 1024 * 1024
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]", "::1"}


def home(machine: Machine, request: Request) -> Response:
    return html_response(pages.home(machine, request.query.get("said", "")[:300]))


def press(machine: Machine, request: Request) -> Response:
    return say(control.pressed(machine, dict(request.form_pairs)))


def set_faults(machine: Machine, request: Request) -> Response:
    """The switches of the human page."""
    try:
        wanted = {name: float(value) for name, value in request.form_pairs}
        slow = wanted.pop("slow_seconds", machine.faults.slow_seconds)
        machine.faults.change({"percent": wanted, "slow_seconds": slow})
    except ValueError as error:
        return say(str(error))
    return say("故障开关已保存")


def say(text: str) -> Response:
    return redirect(f"/?said={quote(text)}")


def alipay_bill(machine: Machine, request: Request) -> Response:
    content = machine.downloads.get(request.query.get("token", ""))
    if content is None:
        return html_response(pages.message_page("下载失败", "下载地址已失效"), 403)
    return Response(200, content, "application/zip")


def bill(machine: Machine, request: Request) -> Response:
    """A bill as a person saves it: ``channel``, ``day`` and ``kind`` (trade, fund)."""
    query = request.query
    channel, kind = query.get("channel", ""), query.get("kind", "trade")
    try:
        day = date.fromisoformat(query.get("day", ""))
    except ValueError:
        day = clock.today()
    suffix, content = "csv", None
    if channel == "alipay":
        suffix, content = "zip", alipay_bills.archive(machine, kind, *clock.day_bounds(day))
    elif made := wechat_bills.file_of(machine, day, kind):
        content = made[0]
    if content is None:
        return html_response(pages.message_page("没有账单", f"{day} 没有这份账单"), 404)
    name = {"Content-Disposition": f'attachment; filename="{channel}-{kind}-{day}.{suffix}"'}
    return Response(200, content, "application/octet-stream", name)


PAGES: dict[tuple[str, str], Callable[[Machine, Request], Response]] = {
    ("GET", "/"): home,
    ("POST", "/do"): press,
    ("POST", "/faults"): set_faults,
    ("GET", "/pay"): cashier.code_page,
    ("GET", "/bill"): bill,
    ("GET", "/cashier"): cashier.alipay_page,
    ("POST", "/cashier"): cashier.submitted,
    ("GET", "/cgi-bin/mmpayweb-bin/checkmweb"): cashier.h5_page,
    ("GET", "/dwbillcenter/downloadBillFile.resource"): alipay_bill,
}


def answer(machine: Machine, request: Request) -> Response:
    """Find who answers; people and testers must come from this machine's own pages."""
    path = request.path
    if path.startswith("/v3/"):
        return wechat.handle(machine, request, ROUTES)
    if path == "/gateway.do" and request.method in ("GET", "POST"):
        if cashier.is_buyer_call(request):
            return cashier.open_by_browser(machine, request)
        return alipay.handle(machine, request, alipay_trades.METHODS)
    if not is_local(request):
        return json_response({"error": "only for pages of this machine"}, 403)
    if path.startswith("/_control/"):
        return control.handle(machine, request)
    page = PAGES.get((request.method, path))
    if page is None:
        return html_response(pages.message_page("没有这个页面", path), 404)
    return page(machine, request)


def is_local(request: Request) -> bool:
    """A web page from elsewhere must not steer the stand-in through somebody's browser.

    Its name may not be one that a foreign DNS made up, and a form's origin must be ours.
    """
    given, origin = request.header("Host"), request.header("Origin")
    host = given.rpartition(":")[0] or given
    is_form = request.method == "POST" and origin != ""
    is_foreign = is_form and urlsplit(origin).hostname not in LOOPBACK_NAMES
    return host in LOOPBACK_NAMES and not is_foreign


class Application:
    """One running stand-in, as gunicorn serves it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        response = self.respond(environ)
        if response.cut:
            # It was done and nobody hears of it: what is written after this goes nowhere.
            with contextlib.suppress(OSError):
                environ["gunicorn.socket"].shutdown(socket.SHUT_RDWR)
        start_response(response.status_line, response.header_list)
        return [response.body]

    def respond(self, environ: dict[str, Any]) -> Response:
        length = environ.get("CONTENT_LENGTH", "0")
        if "HTTP_TRANSFER_ENCODING" in environ or not (length.isascii() and length.isdigit()):
            return json_response({"code": "PARAM_ERROR", "message": "需要 Content-Length"}, 411)
        if int(length) > BODY_MAX:
            return json_response({"code": "PARAM_ERROR", "message": "请求体过大"}, 413)
        names = {"CONTENT_TYPE": "Content-Type"} | {
            name: name[5:].replace("_", "-") for name in environ if name.startswith("HTTP_")
        }
        headers = Headers([(shown, environ[n]) for n, shown in names.items() if n in environ])
        body = environ["wsgi.input"].read(int(length))
        request = Request(environ["REQUEST_METHOD"], environ["RAW_URI"], headers, body)
        try:
            return answer(self.machine, request)
        except UnicodeDecodeError:
            return json_response({"code": "PARAM_ERROR", "message": "不是 UTF-8"}, 400)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            return html_response(faults.HTML_OF_A_PROXY, 500)
