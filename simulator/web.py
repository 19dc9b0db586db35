"""Requests and answers as plain values, so that the protocols know nothing of sockets."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit


class Headers(Protocol):
    """What is asked of headers: email.message.Message and plain mappings both have it."""

    def get(self, name: str, default: str, /) -> str: ...


@dataclass(frozen=True)
class Request:
    method: str
    target: str  # path and query exactly as they came: WeChat's signature covers these bytes
    headers: Headers  # looked up without regard to case
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
        return parse_qsl(self.body.decode("utf-8"), keep_blank_values=True, max_num_fields=200)


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # the deed is done, the answer never leaves (see faults.py)


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
