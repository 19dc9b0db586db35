"""The product's rooms, as the import rules list them (`make lint` fails when one is missing)."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_RULES = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
# The stand-in gateways lie beside the product.
ROOMS = tuple(room for room in _RULES["root_packages"] if room != "simulator")


def product_files(suffix: str = ".py") -> Iterator[Path]:
    """The files of all rooms, without tests and migrations."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob(f"*{suffix}")):
            if not {"tests", "migrations"} & set(path.parts):
                yield path
