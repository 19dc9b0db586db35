"""The judging of addresses, which lower rooms need too: see tcmpay/common/addresses.py."""

from tcmpay.common.addresses import AddressRefused, ensure_http_url, ensure_public_url

__all__ = ["AddressRefused", "ensure_http_url", "ensure_public_url"]
