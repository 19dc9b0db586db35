"""Requests that can be made of every head: what one of them names decides nothing yet."""

import codecs

from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import parse_header_parameters

# What clients and gateways write in. Python knows more that a text can't be read with (base64, hex,
# zlib, undefined) or not with every byte replaced (idna): Django takes each of them for a charset.
CHARSETS = frozenset({"utf-8", "ascii", "iso8859-1", "gb2312", "gbk", "gb18030"})


class PlainRequest(WSGIRequest):
    """Django makes a request before any middleware runs: an error there is the server's own page
    of HTML, with none of our headers. So nothing that a client writes may raise here; a charset
    that is none of ours counts as not named, as Django does with one that it does not know."""

    def _set_content_type_params(self, meta: dict[str, str]) -> None:
        try:
            self.content_type, self.content_params = parse_header_parameters(
                meta.get("CONTENT_TYPE", "")
            )
        except ValueError:
            # Whoever reads the head later (forms in parts, the API's parsers) would fail at it too.
            meta["CONTENT_TYPE"] = meta["CONTENT_TYPE"].partition(";")[0].strip().lower()
            self.content_type, self.content_params = meta["CONTENT_TYPE"], {}
        if (
            "charset" in self.content_params
            and (name := _codec(self.content_params["charset"])) in CHARSETS
        ):
            self.encoding = name


def _codec(charset: str) -> str:
    try:
        return codecs.lookup(charset).name
    except (LookupError, ValueError):
        return ""
