"""Answers that are asked for again and again, and mostly are what they were (RFC 9110, 13.1.2)."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from django.http import HttpResponseNotModified
from django.utils import translation
from django.utils.http import parse_etags
from rest_framework.request import Request

from tcmpay.version import __version__


def etag_of(mark: Sequence[Any]) -> str:
    """A strong tag: alike only where every byte is. The language is part of an answer, and another
    version may have more fields."""
    told = json.dumps([__version__, translation.get_language(), *mark])
    return f'"{hashlib.sha256(told.encode()).hexdigest()[:32]}"'


def is_conditional(request: Request) -> bool:
    return "HTTP_IF_NONE_MATCH" in request.META


def is_known(request: Request, etag: str) -> bool:
    """Whether the caller has the answer of ``etag``; ``*`` is no answer that somebody has."""
    tags = parse_etags(request.META["HTTP_IF_NONE_MATCH"])
    # Proxies that compress make a tag weak; If-None-Match is compared weakly.
    return etag in {tag.removeprefix("W/") for tag in tags}


def not_modified(etag: str) -> HttpResponseNotModified:
    return HttpResponseNotModified(headers={"ETag": etag})
