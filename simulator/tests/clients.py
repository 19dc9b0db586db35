"""A merchant written for these tests alone: it shares no protocol code with the stand-in."""

from __future__ import annotations

import base64
import http.client
import json
import queue
import secrets
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BEIJING = timezone(timedelta(hours=8))
WAIT_SECONDS = 30  # for what comes by itself, on a machine that others use too


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json.get("code")


def send(base_url, method, target, body=b"", headers=None, timeout=10):
    parts = urlsplit(base_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(method, target, body or None, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def rsa_sign(key, text):
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode()


def rsa_verifies(key, text, signature):
    try:
        key.verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())
    except Exception:
        return False
    return True


class Config:
    """config.json as any client would read it."""

    def __init__(self, directory: Path):
        self.directory = directory
        self.all = json.loads((directory / "config.json").read_text())
        self.wechat = self.all["wechat"]
        self.alipay = self.all["alipay"]

    def pem(self, name):
        return (self.directory / name).read_bytes()

    def private(self, channel, field):
        pem = self.pem(self.all[channel][field])
        return serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)

    def public(self, channel, field):
        return serialization.load_pem_public_key(self.pem(self.all[channel][field]))

    def wechat_keys(self):
        certificate = x509.load_pem_x509_certificate(self.pem(self.wechat["platform_cert_file"]))
        return {
            self.wechat["public_key_id"]: self.public("wechat", "platform_public_key_file"),
            self.wechat["platform_serial_no"]: certificate.public_key(),
        }


class WechatClient:
    """Raw calls, and every way to get them wrong."""

    def __init__(self, config):
        self.config = config
        self.key = config.private("wechat", "merchant_private_key_file")
        self.keys = config.wechat_keys()

    def call(
        self, method, target, value=None, *, raw=None, sent_raw=None, sent_target=None,
        timestamp=None, nonce=None, serial=None, mchid=None, key=None, headers=None,
        authorization=None,
    ):  # fmt: skip
        body = raw if raw is not None else (b"" if value is None else json.dumps(value).encode())
        timestamp = str(int(time.time() if timestamp is None else timestamp))
        nonce = nonce or secrets.token_hex(16)
        text = f"{method}\n{target}\n{timestamp}\n{nonce}\n{body.decode()}\n"
        if authorization is None:
            authorization = (
                f'WECHATPAY2-SHA256-RSA2048 mchid="{mchid or self.config.wechat["mchid"]}",'
                f'nonce_str="{nonce}",timestamp="{timestamp}",'
                f'serial_no="{serial or self.config.wechat["merchant_serial_no"]}",'
                f'signature="{rsa_sign(key or self.key, text)}"'
            )
        sent = {
            "Authorization": authorization,
            "Accept": "application/json",
            "User-Agent": "tests",
            "Content-Type": "application/json",
        } | (headers or {})
        sent = {name: text for name, text in sent.items() if text is not None}
        base_url = self.config.wechat["base_url"]
        return send(base_url, method, sent_target or target, sent_raw or body, sent)

    def verifies(self, answer):
        return verifies_wechat(self.keys, answer.headers, answer.body)

    def order(self, scene="native", **changes):
        body = {
            "appid": self.config.wechat["appid"],
            "mchid": self.config.wechat["mchid"],
            "description": "问诊 挂号",
            "out_trade_no": number(),
            "notify_url": "http://127.0.0.1:9/notify",
            "amount": {"total": 3000, "currency": "CNY"},
        }
        if scene == "jsapi":
            body["payer"] = {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"}
        if scene == "h5":
            body["scene_info"] = {"payer_client_ip": "14.23.150.211", "h5_info": {"type": "Wap"}}
        return {name: value for name, value in (body | changes).items() if value is not ...}

    def prepay(self, body, scene="native"):
        return self.call("POST", f"/v3/pay/transactions/{scene}", body)

    def query(self, out_trade_no):
        mchid = self.config.wechat["mchid"]
        return self.call("GET", f"/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={mchid}")

    def close(self, out_trade_no):
        target = f"/v3/pay/transactions/out-trade-no/{out_trade_no}/close"
        return self.call("POST", target, {"mchid": self.config.wechat["mchid"]})

    def refund_body(self, order, fen, **changes):
        body = {
            "out_trade_no": order["out_trade_no"],
            "out_refund_no": number("R"),
            "reason": "退号",
            "amount": {"refund": fen, "total": order["amount"]["total"], "currency": "CNY"},
        }
        return {name: value for name, value in (body | changes).items() if value is not ...}

    def refund(self, body):
        return self.call("POST", "/v3/refund/domestic/refunds", body)

    def query_refund(self, out_refund_no):
        return self.call("GET", f"/v3/refund/domestic/refunds/{out_refund_no}")

    def opened(self, notice):
        """The decrypted resource of a notification."""
        sealed = json.loads(notice.body)["resource"]
        cipher = AESGCM(self.config.wechat["apiv3_key"].encode())
        plain = cipher.decrypt(
            sealed["nonce"].encode(),
            base64.b64decode(sealed["ciphertext"]),
            sealed["associated_data"].encode(),
        )
        return json.loads(plain)


def verifies_wechat(keys, headers, body):
    key = keys.get(headers["Wechatpay-Serial"])
    if key is None or headers["Wechatpay-Signature-Type"] != "WECHATPAY2-SHA256-RSA2048":
        return False
    if abs(time.time() - int(headers["Wechatpay-Timestamp"])) >= 300:
        return False
    head = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n".encode()
    return rsa_verifies(key, head + body + b"\n", headers["Wechatpay-Signature"])


class AlipayClient:
    def __init__(self, config):
        self.config = config
        self.key = config.private("alipay", "app_private_key_file")
        self.public = config.public("alipay", "alipay_public_key_file")

    def parameters(self, method, content=None, /, *, key=None, **changes):
        parameters = {
            "app_id": self.config.alipay["app_id"],
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": datetime.now(BEIJING).strftime("%Y-%m-%d %H:%M:%S"),
            "version": "1.0",
            "biz_content": json.dumps(content or {}, ensure_ascii=False),
        } | changes
        parameters = {name: value for name, value in parameters.items() if value is not ...}
        text = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
        return parameters | {"sign": rsa_sign(key or self.key, text)}

    def call(self, method, content=None, /, *, verb="POST", spoil=None, **changes):
        parameters = self.parameters(method, content, **changes) | (spoil or {})
        base_url = self.config.wechat["base_url"]
        form = urlencode(parameters)
        if verb == "GET":
            return send(base_url, "GET", f"/gateway.do?{form}")
        headers = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
        return send(base_url, "POST", "/gateway.do", form.encode(), headers)

    def node(self, method, content=None, **options):
        """The answer's node; its signature must be right."""
        answer = self.call(method, content, **options)
        assert self.verifies(answer), answer.body
        return next(iter(answer.json.values()))

    def verifies(self, answer):
        text = answer.body.decode()
        start = text.index("{", 1)
        end = text.rindex(',"sign":"')
        if ',"alipay_cert_sn":"' in text:
            end = text.rindex(',"alipay_cert_sn":"')
        return rsa_verifies(self.public, text[start:end].encode(), answer.json["sign"])

    def address(self, method, content, **changes):
        form = urlencode(self.parameters(method, content, **changes))
        return f"{self.config.alipay['gateway_url']}?{form}"

    def order(self, **changes):
        content = {
            "out_trade_no": number("A"),
            "total_amount": "30.00",
            "subject": "在线问诊",
            "product_code": "FAST_INSTANT_TRADE_PAY",
        }
        return {name: value for name, value in (content | changes).items() if value is not ...}

    def notice_verifies(self, form):
        names = sorted(set(form) - {"sign", "sign_type"})
        text = "&".join(f"{name}={form[name]}" for name in names)
        return rsa_verifies(self.public, text.encode(), form["sign"])


def number(prefix="T"):
    return prefix + secrets.token_hex(11)


def wait_for(read, wanted):
    """What ``read`` says once it is what is wanted; else what it said last."""
    end = time.monotonic() + WAIT_SECONDS
    while (seen := read()) != wanted and time.monotonic() < end:
        time.sleep(0.01)
    return seen


def settled(wechat, refund):
    number = refund["out_refund_no"]
    assert wait_for(lambda: wechat.query_refund(number).json["status"], "SUCCESS") == "SUCCESS"


class Notice:
    def __init__(self, path, headers, body):
        self.path = path
        self.headers = headers
        self.body = body
        self.at = time.time()

    @property
    def form(self):
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


class Listener:
    """The merchant's callback address; each path has its own queue and its own answers."""

    def __init__(self):
        self.queues = {}
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        listener = self

        class Handling(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                listener.queue(self.path).put(Notice(self.path, self.headers, body))
                planned = listener.answers[self.path]
                status, text = planned.pop(0) if len(planned) > 1 else planned[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handling)
        self.base_url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def queue(self, path):
        return self.queues.setdefault(path, queue.Queue())

    def address(self, *answers):
        """A fresh notify_url that gives these answers in turn, the last one for ever."""
        path = f"/{secrets.token_hex(8)}"
        self.queue(path)
        self.answers[path] = list(answers or [(200, b"success")])
        return self.base_url + path

    def next(self, url, seconds=WAIT_SECONDS):
        return self.queue(urlsplit(url).path).get(timeout=seconds)

    def is_silent(self, url, seconds=0.4):
        try:
            self.next(url, seconds)
        except queue.Empty:
            return True
        return False

    def close(self):
        self.server.shutdown()
        self.server.server_close()
