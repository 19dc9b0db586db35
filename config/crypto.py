"""How stored configuration is sealed: as all secrets at rest, see tcmpay/common/sealing.py.

Each value is sealed for its row, and in a version or a draft for that version or draft: nothing
that was sealed for one key, method or version opens for another.
"""

from uuid import UUID

from tcmpay.common.sealing import (
    ConfigKeysMalformed,
    ConfigSecretUnreadable,
    Place,
    SealProblem,
    ensure_keys_usable,
    is_sealed,
    is_sealed_with_first_key,
    is_unbound,
    plain,
    seal,
    seal_problem,
    unseal,
)

__all__ = [
    "ConfigKeysMalformed",
    "ConfigSecretUnreadable",
    "Place",
    "SealProblem",
    "draft_place",
    "ensure_keys_usable",
    "is_sealed",
    "is_sealed_with_first_key",
    "is_unbound",
    "plain",
    "row_place",
    "seal",
    "seal_problem",
    "unseal",
    "version_place",
]


def row_place(method: str, key: str) -> Place:
    """Where the running value of a key lies. Unique by these two, whatever the row's id."""
    return Place("payment_configs", method, key)


def version_place(version_id: UUID | str, method: str, key: str) -> Place:
    return Place("payment_config_versions", str(version_id), f"{method}.{key}")


def draft_place(draft_id: UUID | str, method: str, key: str) -> Place:
    return Place("payment_config_drafts", str(draft_id), f"{method}.{key}")
