"""The official test vectors; data/vectors.json names the source of each."""

import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parent / "data" / "vectors.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]


def each(kind: str):
    """Run a test with each vector of this kind."""
    found = [pytest.param(one, id=one["id"]) for one in VECTORS if one["kind"] == kind]
    return pytest.mark.parametrize("vector", found)


def resource_of(vector: dict[str, Any]) -> dict[str, str]:
    """What a vector has encrypted, as a WeChat Pay notification carries it."""
    return {
        "nonce": vector["nonce"],
        "ciphertext": vector["ciphertext"],
        "associated_data": vector["aad"],
    }
