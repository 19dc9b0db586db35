"""Where stored configuration is sealed: each value for its row, and in a version or a draft for
that version or draft. Nothing that was sealed for one key, method or version opens for another.
"""

from uuid import UUID

from tcmpay.common.sealing import Place


def row_place(method: str, key: str) -> Place:
    """Where the running value of a key lies. Unique by these two, whatever the row's id."""
    return Place("payment_configs", method, key)


def version_place(version_id: UUID | str, method: str, key: str) -> Place:
    return Place("payment_config_versions", str(version_id), f"{method}.{key}")


def draft_place(draft_id: UUID | str, method: str, key: str) -> Place:
    return Place("payment_config_drafts", str(draft_id), f"{method}.{key}")
