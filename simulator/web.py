"""Requests and answers as plain values, so that the protocols know nothing of servers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from http.client import responses
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

PARAMETERS_MAX = 200


class Headers(Protocol):
    """What is asked of headers, without regard to case."""

    def get(self, name: str, default: str, /) -> str | None: ...


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # path and query exactly as they came: WeChat's signature covers these bytes
    headers: Headers
    body: bytes = b""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(self.query_pairs)

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def form_pairs(self) -> list[tuple[str, str]]:
        text = self.body.decode("utf-8") if self.method == "POST" else ""
        return parse_qsl(text, keep_blank_values=True, max_num_fields=PARAMETERS_MAX)

    def header(self, name: str) -> str:
        return self.headers.get(name, "") or ""


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # it was done, the answer never leaves (see faults.py)

    @property
    def status_line(self) -> str:
        return f"{self.status} {responses.get(self.status, 'Unknown')}"

    @property
    def header_list(self) -> list[tuple[str, str]]:
        own = {"Content-Type": self.content_type, "Content-Length": str(len(self.body))}
        return [*(self.headers | ({} if self.status == 204 else own)).items()]


def json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def json_response(value: Any, status: int = 200) -> Response:
    return Response(status, json_bytes(value))


def html_response(text: str, status: int = 200) -> Response:
    headers = {
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
        "Cache-Control": "no-store",
    }
    return Response(status, text.encode(), "text/html; charset=utf-8", headers)


def redirect(location: str) -> Response:
    return Response(303, b"", "text/plain; charset=utf-8", {"Location": location})


def wrong_notify_url(value: str) -> str:
    """What is wrong with a callback address, or ""."""
    try:
        parts = urlsplit(value)
        host = parts.hostname
    except ValueError:
        return "回调地址不正确"
    if parts.scheme not in ("http", "https") or not host or not value.isascii():
        return "回调地址必须是 http(s) 绝对地址"
    return "回调地址不能携带参数" if "?" in value or "#" in value else ""
