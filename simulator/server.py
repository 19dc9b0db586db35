"""The HTTP face of the stand-in: one loopback port for both gateways, control and human pages."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, urlsplit

from simulator import cashier, control, faults, keys, pages
from simulator.alipay import api as alipay
from simulator.alipay import trades as alipay_trades
from simulator.machine import Machine
from simulator.options import Options
from simulator.store import Store
from simulator.web import Request, Response, html_response, json_response, redirect
from simulator.wechat import api as wechat
from simulator.wechat import routes as wechat_routes

log = logging.getLogger("simulator.server")

HOST = "127.0.0.1"
BODY_MAX = 1024 * 1024
IDLE_SECONDS = 65
CONNECTIONS_MAX = 512
LOOPBACK_NAMES = {"127.0.0.1", "localhost", "[::1]", "::1"}
DATABASE_FILE = "simulator.sqlite3"


def home(machine: Machine, request: Request) -> Response:
    return html_response(pages.home(machine, request.query.get("said", "")[:300]))


def press(machine: Machine, request: Request) -> Response:
    said = control.pressed(machine, dict(request.form_pairs))
    return redirect(f"/?said={quote(said)}")


def set_faults(machine: Machine, request: Request) -> Response:
    """The switches of the human page."""
    try:
        wanted = {name: float(value) for name, value in request.form_pairs}
        slow = wanted.pop("slow_seconds", machine.faults.slow_seconds)
        machine.faults.change({"percent": wanted, "slow_seconds": slow})
    except ValueError as error:
        return redirect(f"/?said={quote(str(error))}")
    return redirect(f"/?said={quote('故障开关已保存')}")


def alipay_gateway(machine: Machine, request: Request) -> Response:
    if cashier.is_buyer_call(request):
        return cashier.open_by_browser(machine, request)
    return alipay.handle(machine, request, alipay_trades.METHODS)


def alipay_bill(machine: Machine, request: Request) -> Response:
    content = machine.bill_tokens.value(request.query.get("token", ""))
    if content is None:
        return html_response(pages.message_page("下载失败", "下载地址已失效"), 403)
    return Response(200, content, "application/zip")


Handler = Callable[[Machine, Request], Response]

PAGES: dict[tuple[str, str], Handler] = {
    ("GET", "/"): home,
    ("POST", "/do"): press,
    ("POST", "/faults"): set_faults,
    ("GET", "/pay"): cashier.code_page,
    ("GET", "/cashier"): cashier.alipay_page,
    ("POST", "/cashier"): cashier.submitted,
    ("GET", "/cgi-bin/mmpayweb-bin/checkmweb"): cashier.h5_page,
    ("GET", "/dwbillcenter/downloadBillFile.resource"): alipay_bill,
}


def answer(machine: Machine, request: Request) -> Response:
    """Find who answers; people and testers must come from this machine's own pages."""
    path = request.path
    if path.startswith("/v3/"):
        return wechat.handle(machine, request, wechat_routes.ROUTES)
    if path == "/gateway.do" and request.method in ("GET", "POST"):
        return alipay_gateway(machine, request)
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
    host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
    origin = request.headers.get("Origin", "")
    is_form = request.method == "POST" and origin != ""
    is_foreign = is_form and urlsplit(origin).hostname not in LOOPBACK_NAMES
    return host in LOOPBACK_NAMES and not is_foreign


class Handling(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "Simulator"
    sys_version = ""
    timeout = IDLE_SECONDS
    wbufsize = -1  # one packet for head and body, or keep-alive costs 40 ms a call
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self.serve_one()

    def do_POST(self) -> None:
        self.serve_one()

    def serve_one(self) -> None:
        response = self.read_and_answer()
        if response.cut:
            self.cut()
            return
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if response.status != 204:
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)

    def read_and_answer(self) -> Response:
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            self.close_connection = True
            return json_response({"code": "PARAM_ERROR", "message": "需要 Content-Length"}, 411)
        if int(length) > BODY_MAX:
            self.close_connection = True
            return json_response({"code": "PARAM_ERROR", "message": "请求体过大"}, 413)
        body = self.rfile.read(int(length))
        request = Request(self.command, self.path, self.headers, body)
        try:
            return answer(self.server.machine, request)
        except UnicodeDecodeError:
            return json_response({"code": "PARAM_ERROR", "message": "不是 UTF-8"}, 400)
        except Exception:
            log.exception("%s %s", self.command, request.path)
            return html_response(faults.HTML_OF_A_PROXY, 500)

    def cut(self) -> None:
        """The deed is done and nobody hears of it."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:
        log.debug(format, *args)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    machine: Machine

    def __init__(self, port: int) -> None:
        super().__init__((HOST, port), Handling)
        self._slots = threading.Semaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        """One thread for each connection, up to a bound; beyond it callers are turned away."""
        if self._slots.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: object, client_address: object) -> None:
        log.debug("a client went away: %s", sys.exc_info()[1])


def open_server(options: Options) -> Server:
    """Bind, make or load keys and books, and write config.json; nothing is served yet."""
    server = Server(options.port)
    base_url = f"http://{HOST}:{server.server_address[1]}"
    ring = keys.open_keys(options.directory, base_url=base_url, sign_mode=options.sign_mode)
    store = Store(options.directory / DATABASE_FILE)
    server.machine = Machine(options, ring, store, base_url)
    server.machine.notifier.start()
    return server


def close_server(server: Server) -> None:
    server.shutdown()
    server.server_close()
    server.machine.stop()


def serve(options: Options) -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        server = open_server(options)
    except OSError as error:
        raise SystemExit(
            f"gateway simulator: can't serve on port {options.port}: {error}"
        ) from error
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    sys.stdout.write(
        f"gateway simulator: {server.machine.base_url}/  keys and books: {options.directory}\n"
    )
    sys.stdout.flush()
    stop.wait()
    close_server(server)
