"""How stored configuration is sealed: as all secrets at rest, see tcmpay/common/sealing.py."""

from tcmpay.common.sealing import (
    PREFIX,
    ConfigKeysMalformed,
    ConfigSecretUnreadable,
    ensure_keys_usable,
    is_sealed,
    is_sealed_with_first_key,
    plain,
    seal,
    unseal,
)

__all__ = [
    "PREFIX",
    "ConfigKeysMalformed",
    "ConfigSecretUnreadable",
    "ensure_keys_usable",
    "is_sealed",
    "is_sealed_with_first_key",
    "plain",
    "seal",
    "unseal",
]
