"""Keys, signatures and a small HTTP server for the tests: written apart from the code they test."""

import base64
import json
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote_plus, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from gateways.alipay.configuration import AlipayConfig
from gateways.alipay.gateway import AlipayGateway
from gateways.breaker import CallLimiter
from gateways.interface import CallbackRequest, PaymentRequest, RefundRequest, Scene
from gateways.transport import Transport
from gateways.wechat.configuration import WechatConfig
from gateways.wechat.gateway import WechatGateway

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)  # 10:00 in Shanghai
TIMESTAMP = str(int(NOW.timestamp()))
MCH_ID, WX_APP_ID, API_V3_KEY = "1900000109", "wx0123456789abcdef", "k" * 32
ALI_APP_ID, SELLER_ID = "2021001234567890", "2088000000000001"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000001092026112400000001"
PLATFORM_SERIAL = 0x5DEA10EF55877E3CF6C33255C2E7DEFFF7E427EC
MERCHANT_SERIAL = 0x1DDE55AD98ED71D6EDD4A4A16996DE7B47773A8C
HEX_PLATFORM_SERIAL = f"{PLATFORM_SERIAL:X}"


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def private_pem(name: str, form=serialization.PrivateFormat.PKCS8) -> str:
    return (
        private_key(name)
        .private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        .decode()
    )


def public_pem(name: str) -> str:
    return (
        private_key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def bare(pem: str) -> str:
    return "".join(line for line in pem.splitlines() if "-----" not in line)


@cache
def certificate_pem(name: str, serial: int, days_left: int = 365) -> str:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "测试"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "unit"),
            x509.NameAttribute(NameOID.COMMON_NAME, "test"),
        ]
    )
    ends = NOW + timedelta(days=days_left)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(private_key(name).public_key())
        .serial_number(serial)
        .not_valid_before(ends - timedelta(days=1000))
        .not_valid_after(ends)
        .sign(private_key(name), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def signed_certificate(
    name: str,
    serial: int,
    *,
    subject: str,
    issuer: tuple[str, str] | None = None,
    is_authority: bool = False,
    begins_days: int = -300,
    days_left: int = 365,
) -> str:
    """A certificate of ``name``'s key for ``subject``, signed by ``issuer``: the name of its key
    and its certificate (none: by itself)."""
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    signer = issuer[0] if issuer else name
    above = x509.load_pem_x509_certificate(issuer[1].encode()).subject if issuer else own
    return (
        x509.CertificateBuilder()
        .subject_name(own)
        .issuer_name(above)
        .public_key(private_key(name).public_key())
        .serial_number(serial)
        .not_valid_before(NOW + timedelta(days=begins_days))
        .not_valid_after(NOW + timedelta(days=days_left))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(private_key(signer), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )


def sign(name: str, text: bytes, digest=hashes.SHA256) -> str:
    signature = private_key(name).sign(text, padding.PKCS1v15(), digest())
    return base64.b64encode(signature).decode()


def is_signed(name: str, text: bytes, signature: str) -> bool:
    public = private_key(name).public_key()
    public.verify(base64.b64decode(signature), text, padding.PKCS1v15(), hashes.SHA256())
    return True


# -- configurations --------------------------------------------------------------------------------


def wechat_values(**changes: str) -> dict[str, str]:
    return {
        "app_id": WX_APP_ID,
        "mch_id": MCH_ID,
        "api_v3_key": API_V3_KEY,
        "private_key": private_pem("merchant"),
        "cert_serial_no": f"{MERCHANT_SERIAL:X}",
        "public_key": public_pem("wechat"),
        "public_key_id": PUBLIC_KEY_ID,
        "platform_cert": certificate_pem("platform", PLATFORM_SERIAL),
        "notify_url": "https://pay.example.com/payment/callback?method=wechat",
        **changes,
    }


def alipay_values(**changes: str) -> dict[str, str]:
    return {
        "app_id": ALI_APP_ID,
        "seller_id": SELLER_ID,
        "private_key": bare(private_pem("app")),
        "public_key": bare(public_pem("alipay")),
        "notify_url": "https://pay.example.com/payment/callback?method=alipay",
        "return_url": "https://pay.example.com/payment/success",
        **changes,
    }


def now_seconds() -> float:
    return NOW.timestamp()


def quick_transport() -> Transport:
    return Transport(connect_seconds=0.3, read_seconds=0.3, is_loopback_allowed=True)


# Reading an RSA key checks it, which takes longer than most tests.
@cache
def _wechat_config(base_url: str, changes: tuple[tuple[str, str], ...]) -> WechatConfig:
    return WechatConfig.from_values(wechat_values(**dict(changes)), base_url=base_url)


@cache
def _alipay_config(base_url: str, changes: tuple[tuple[str, str], ...]) -> AlipayConfig:
    return AlipayConfig.from_values(alipay_values(**dict(changes)), base_url=base_url)


def wechat_gateway(base_url: str = "http://127.0.0.1:9", **changes: str) -> WechatGateway:
    config = _wechat_config(base_url, tuple(changes.items()))
    return WechatGateway(
        config, limiter=CallLimiter(), transport=quick_transport(), clock=now_seconds
    )


def alipay_gateway(
    base_url: str = "http://127.0.0.1:9", *, keep=lambda pem: None, **changes: str
) -> AlipayGateway:
    config = _alipay_config(f"{base_url}/gateway.do", tuple(changes.items()))
    return AlipayGateway(
        config,
        limiter=CallLimiter(),
        transport=quick_transport(),
        clock=now_seconds,
        keep_certificate=keep,
    )


def payment_request(scene: Scene, **changes) -> PaymentRequest:
    fields = {
        "out_trade_no": "ORD20261124100000A1",
        "amount": Decimal("30.00"),
        "description": "挂号费",
        "scene": scene,
        "created_at": NOW,
        "expires_at": NOW + timedelta(hours=2),
        "return_url": "https://shop.example.com/back?a=1&b=2",
        "openid": "oUpF8uMuAJO",
        "client_ip": "203.0.113.7",
    }
    return PaymentRequest(**{**fields, **changes})


def refund_request(**changes) -> RefundRequest:
    fields = {
        "out_trade_no": "ORD20261124100000A1",
        "transaction_id": "4200001234",
        "out_refund_no": "RFD20261124100500B2",
        "refund_amount": Decimal("10.01"),
        "total_amount": Decimal("30.00"),
        "reason": "患者取消",
    }
    return RefundRequest(**{**fields, **changes})


# -- a gateway's side ------------------------------------------------------------------------------


@dataclass
class Seen:
    """A request as the stand-in received it."""

    verb: str
    target: str
    headers: dict[str, str]
    body: bytes
    port: int

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def fields(self) -> dict[str, str]:
        """Alipay: public parameters of the address and biz_content of the body."""
        return dict(parse_qsl(urlsplit(self.target).query) + parse_qsl(self.body.decode()))


@dataclass
class Reply:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    is_cut: bool = False  # the connection ends before the promised length
    is_hung: bool = False  # nothing comes until the test is over


class StandIn:
    """Answers every request with what ``answer`` says; keeps what it saw."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self.begin()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        return self

    def __exit__(self, *_error) -> None:
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.socket.close()

    def begin(self) -> "StandIn":
        """As new, at the same address, for the next test."""
        self._over.set()
        self._over = threading.Event()
        self.seen: list[Seen] = []
        self.always(Reply(404))
        return self

    def always(self, reply: Reply) -> None:
        self.answer = lambda seen: reply

    def _handler(self):
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                length = int(self.headers.get("Content-Length") or 0)
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = Seen(
                    self.command,
                    self.path,
                    headers,
                    self.rfile.read(length),
                    self.client_address[1],
                )
                stand_in.seen.append(seen)
                self._reply(stand_in.answer(seen))

            do_POST = do_GET

            def _reply(self, reply: Reply):
                if reply.is_hung:
                    stand_in._over.wait(5)
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                if reply.status != 204:
                    length = len(reply.body) + (100 if reply.is_cut else 0)
                    self.send_header("Content-Length", str(length))
                self.end_headers()
                self.wfile.write(reply.body)
                self.close_connection = reply.is_cut

            def log_message(self, *_args):
                pass

        return Handler


def wechat_headers(
    body: bytes,
    *,
    key: str = "wechat",
    serial: str = PUBLIC_KEY_ID,
    timestamp: str = TIMESTAMP,
    **changes: str | None,
) -> dict[str, str]:
    """Signature headers; a change to None leaves the header out (``_`` stands for ``-``)."""
    nonce = "593BEC0C930BF1AFEB40B4A08C8FB242"
    headers = {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
        "Wechatpay-Signature": sign(key, f"{timestamp}\n{nonce}\n".encode() + body + b"\n"),
    }
    headers |= {f"Wechatpay-{name.replace('_', '-')}": value for name, value in changes.items()}
    return {name: value for name, value in headers.items() if value is not None}


def wechat_reply(content: object = None, status: int = 200, **changes) -> Reply:
    body = b"" if content is None else json.dumps(content, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", **wechat_headers(body, **changes)}
    return Reply(status, body, headers)


def wechat_error(status: int, code: str, message: str = "m", request_id: str = "") -> Reply:
    body = json.dumps({"code": code, "message": message}).encode()
    return Reply(status, body, {"Request-ID": request_id} if request_id else {})


def wechat_trade(**changes) -> dict:
    trade = {
        "appid": WX_APP_ID,
        "mchid": MCH_ID,
        "out_trade_no": "ORD20261124100000A1",
        "transaction_id": "4200001234",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "success_time": "2026-11-24T09:59:58+08:00",
        "amount": {"total": 3000, "payer_total": 3000, "currency": "CNY"},
        "new_field": {"ignored": True},
    }
    return {name: value for name, value in {**trade, **changes}.items() if value is not None}


def wechat_notification(
    plain_resource: dict | bytes, /, event: str = "TRANSACTION.SUCCESS", **changes
) -> bytes:
    """An encrypted notification; ``changes`` replace parts of envelope or resource by name."""
    plain = (
        plain_resource if isinstance(plain_resource, bytes) else json.dumps(plain_resource).encode()
    )
    aad, nonce = changes.pop("aad", "transaction"), "0123456789ab"
    key = changes.pop("api_v3_key", API_V3_KEY)
    ciphertext = AESGCM(key.encode()).encrypt(nonce.encode(), plain, aad.encode())
    parts = {
        "original_type": "transaction",
        "algorithm": "AEAD_AES_256_GCM",
        "ciphertext": base64.b64encode(ciphertext).decode(),
        "associated_data": "transaction",
        "nonce": nonce,
    }
    parts |= {name: changes.pop(name) for name in list(changes) if name in parts}
    envelope = {
        "id": "EV-1",
        "create_time": "2026-11-24T10:00:00+08:00",
        "resource_type": "encrypt-resource",
        "event_type": event,
        "summary": "支付成功",
        "resource": parts,
    }
    return json.dumps({**envelope, **changes}, ensure_ascii=False).encode()


def wechat_callback(body: bytes, headers: dict | None = None, received_at=NOW) -> CallbackRequest:
    return CallbackRequest(
        headers=wechat_headers(body) if headers is None else headers,
        body=body,
        content_type="application/json",
        received_at=received_at,
    )


def alipay_reply(method: str, node: dict | str, key: str = "alipay", **envelope) -> Reply:
    """A signed answer; slashes are escaped and spaces kept, as Alipay sends them."""
    raw = node if isinstance(node, str) else json.dumps(node, ensure_ascii=False)
    raw = raw.replace("/", "\\/")
    rest = {"sign": sign(key, raw.encode()), **envelope}
    members = [f'"{method.replace(".", "_")}_response":{raw}']
    members += [f'"{name}" : {json.dumps(value)}' for name, value in rest.items() if value]
    return Reply(200, ("{" + ",\n ".join(members) + "}\n").encode())


def alipay_fields(**changes: str | None) -> dict[str, str]:
    fields = {
        "notify_time": "2026-11-24 10:00:01",
        "notify_type": "trade_status_sync",
        "notify_id": "2026112400222100001",
        "app_id": ALI_APP_ID,
        "auth_app_id": ALI_APP_ID,
        "charset": "utf-8",
        "version": "1.0",
        "sign_type": "RSA2",
        "trade_no": "2026112422001468450512505578",
        "out_trade_no": "ORD20261124100000A1",
        "seller_id": SELLER_ID,
        "buyer_logon_id": "xud***@126.com",
        "trade_status": "TRADE_SUCCESS",
        "total_amount": "30.00",
        "subject": "挂号费 {a=b&c}",
        "gmt_payment": "2026-11-24 09:59:58",
    }
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def alipay_signature(
    fields: dict[str, str], key: str = "alipay", digest=hashes.SHA256, encoding: str = "utf-8"
) -> str:
    text = "&".join(f"{k}={v}" for k, v in sorted(fields.items()) if k != "sign_type")
    return sign(key, text.encode(encoding), digest)


def alipay_body(
    fields: dict[str, str], signature: str | None = None, encoding: str = "utf-8"
) -> bytes:
    own = alipay_signature(fields, encoding=encoding) if signature is None else signature
    signed = {**fields, "sign": own}
    return "&".join(f"{k}={quote_plus(v, encoding=encoding)}" for k, v in signed.items()).encode()


FORM = "application/x-www-form-urlencoded; charset=utf-8"


def alipay_callback(body: bytes, content_type: str = FORM) -> CallbackRequest:
    return CallbackRequest(headers={}, body=body, content_type=content_type, received_at=NOW)
