"""Who a request comes from: decided here alone, for limits, rows, axes and logs alike.

An address costs a look into a table once it was seen; parsing is for those that were not.
"""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from django.conf import settings

# Longer than any address with its port and zone.
TEXT_MAX = 64
# Who has one IPv6 address has the 2^64 beside it.
IPV6_PREFIX = 64
FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED")


def client_address(meta: Mapping[str, Any]) -> str:
    """The address of the client as our outermost proxy saw it; "" when nobody knows.

    ``X-Forwarded-For`` is trusted for exactly TRUSTED_PROXY_HOPS entries from its right end;
    whatever stands further left was written by the client. What stands at that place but is no
    address was not written by a proxy: then the peer's own address counts.
    """
    if hops := settings.TRUSTED_PROXY_HOPS:
        entries = str(meta.get("HTTP_X_FORWARDED_FOR", "")).rsplit(",", hops)
        if len(entries) >= hops and (seen := _bounded(entries[-hops])):
            return seen
    return _bounded(str(meta.get("REMOTE_ADDR", "")))


def client_network(meta: Mapping[str, Any]) -> str:
    """What stands for the client where addresses are counted: of IPv6, its network's first.

    Not written as a network, because axes keeps addresses.
    """
    return _network(client_address(meta))


def is_this_machine(meta: Mapping[str, Any]) -> bool:
    """Whether the request comes from this machine and directly: a proxy on it passes others on."""
    if any(header in meta for header in FORWARDING_HEADERS):
        return False
    remote = _bounded(str(meta.get("REMOTE_ADDR", "")))
    return bool(remote) and ipaddress.ip_address(remote).is_loopback


def _bounded(text: str) -> str:
    return _plain(text) if len(text) <= TEXT_MAX else ""


@lru_cache(maxsize=4096)
def _plain(text: str) -> str:
    """The address in one entry, without port and zone, or ""; IPv4 is written as IPv4."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    if ":" not in address:
        return address
    network = ipaddress.ip_network((address, IPV6_PREFIX), strict=False)
    return str(network.network_address)
