"""Addresses that are handed out or called: complete, plain, and public where they must be."""

import ipaddress
import socket
from urllib.parse import SplitResult, urlsplit

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

LENGTH_MAX = 1024
LOCAL_NAMES = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# NAT64: the last 32 bits are an IPv4 address.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# All that was ever given out for the public network. Python counts what it does not know as public:
# the old fec0::/10 and ::ffff:0:a.b.c.d, 5f00::/16 of segment routing, what nobody was given.
_PUBLIC_IPV6 = ipaddress.IPv6Network("2000::/3")
_DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")  # since 2024


class AddressRefused(ValueError):
    """``text`` says why, for people."""

    def __init__(self, text: str | Promise) -> None:
        super().__init__(str(text))
        self.text = text


def ensure_http_url(url: str) -> SplitResult:
    """The parts of a complete http(s) address. Raises AddressRefused."""
    if len(url) > LENGTH_MAX or any(char <= " " or char > "~" or char == "\\" for char in url):
        raise AddressRefused(_("地址含有不允许的字符或过长"))
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(_("不是有效的地址")) from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise AddressRefused(_("应为完整的 http(s) 地址，例如 https://yourdomain.com/…"))
    if "@" in parts.netloc:
        raise AddressRefused(_("地址中不能包含用户名或密码"))
    if parts.fragment:
        raise AddressRefused(_("地址中不能包含 # 片段"))
    return parts


def ensure_public_url(url: str, *, is_loopback_allowed: bool) -> None:
    """Refuse whatever points into a private network. Raises AddressRefused.

    Names are judged as they are written: they aren't resolved here, because what they resolve to
    may change before they are used.
    """
    host = (ensure_http_url(url).hostname or "").rstrip(".")
    if is_loopback_allowed and _is_loopback(host):
        return
    if not _is_public(host):
        raise AddressRefused(_("必须是公网可以访问的地址"))


def is_loopback_url(url: str) -> bool:
    """Whether ``url`` leads to this machine as it is written."""
    return _is_loopback((urlsplit(url).hostname or "").rstrip("."))


def _is_loopback(host: str) -> bool:
    address = _literal(host)
    return address.is_loopback if address else host == "localhost"


def _is_public(host: str) -> bool:
    address = _literal(host)
    if address is not None:
        return is_public_address(address)
    return "." in host and not host.endswith(LOCAL_NAMES)


def _literal(host: str) -> Address | None:
    """The address that ``host`` writes, also as 127.1, 0x7f000001 or 2130706433 as systems do."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def is_public_address(address: Address) -> bool:
    """Whether ``address``, and whatever it stands for, lies in the public network."""
    return all(
        inner.is_global and not inner.is_multicast and _is_given_out(inner)
        for inner in _embedded(address)
    )


def _is_given_out(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return True
    return (address in _PUBLIC_IPV6 and address not in _DOCUMENTATION) or address in _NAT64


def _embedded(address: Address) -> list[Address]:
    """``address`` and the IPv4 address that it stands for (mapped, 6to4, NAT64)."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    if address.ipv4_mapped:
        return [address.ipv4_mapped]
    found: list[Address] = [address]
    if address.sixtofour:
        found.append(address.sixtofour)
    if address in _NAT64:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found
