"""What can be chosen: at start by options, while running by the control API."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from simulator import schema

SIGN_MODES = ("pubkey", "cert", "mixed")
# Which certificate Alipay signs by: the one that clients were given, its successor, or one that
# nobody should believe.
ALIPAY_CERTIFICATES = {"current": "alipay", "next": "alipay_next", "rogue": "alipay_rogue"}
NUMBER_MAX = 100_000


@dataclass
class Settings:
    """Behaviour that may change while running, by POST /_control/settings."""

    notify_factor: float = 0.05  # times the real waits between two tries of a notification
    spacing_factor: float = 0.05  # times the real least time between two refunds of one trade
    refund_delay_seconds: float = 2.0  # until an accepted WeChat refund settles
    refund_outcome: str = "SUCCESS"  # how refunds settle that were not steered one by one
    alipay_refund_async: bool = False  # refunds answer fund_change N first and settle later
    merchant_short: bool = False  # the merchant's account can't pay refunds
    statement_creating: bool = False  # bills are still being made
    hold_notices: bool = False  # keep notifications back until they are released
    mixed_pubkey_percent: float = 50.0  # sign mode mixed: notifications signed with the public key
    console_refund_notify_url: str = ""  # WeChat: where notices of console refunds go
    # WeChat refuses H5 payments from 127.0.0.1; here every payer is there.
    h5_refuses_loopback: bool = False
    alipay_certificate: str = "current"  # certificate mode and notifications: what signs them

    def change(self, wanted: dict[str, Any]) -> None:
        """Set the named fields, all or none.

        Raises:
            NotAllowed: an unknown name, a wrong type or a value out of range.
        """
        schema.check(SETTINGS, wanted)
        for name, value in wanted.items():
            setattr(self, name, value)


@dataclass(frozen=True)
class Options:
    port: int
    directory: Path
    sign_mode: str = "pubkey"
    settings: Settings = field(default_factory=Settings)
    fault_percent: float = 0.0
    seed: int = 1


TYPES = {
    "float": {"type": "number", "minimum": 0, "maximum": NUMBER_MAX},
    "bool": {"type": "boolean"},
    "str": {"type": "string"},
}
CHOICES = {
    "refund_outcome": {"enum": ["SUCCESS", "ABNORMAL", "CLOSED"]},
    "alipay_certificate": {"enum": list(ALIPAY_CERTIFICATES)},
}
SETTINGS = schema.fields(
    **{each.name: TYPES[str(each.type)] for each in fields(Settings)} | CHOICES
)
HELP = {
    "notify_factor": "times the real waits between tries of a notification (0.05: 15 s are 0.75 s)",
    "spacing_factor": "times the real least time between refunds of one trade (0.05: 60 s are 3 s)",
    "refund_delay_seconds": "seconds until an accepted WeChat refund settles",
    "fault_percent": "chance of EACH kind of fault at each call, in percent",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m simulator`` and of ``manage.py gateway_simulator`` alike."""
    add = parser.add_argument
    add("--port", type=int, required=True, help="port on 127.0.0.1 (0: any free)")
    add("--dir", type=Path, required=True, dest="directory", metavar="DIR",
        help="receives keys, config.json and the books")  # fmt: skip
    add("--sign-mode", choices=SIGN_MODES, default=Options.sign_mode,
        help="WeChat answers by public key, by certificate, or by both (migration)")  # fmt: skip
    for name, text in HELP.items():
        flag = name.removesuffix("_seconds").replace("_", "-")
        default = getattr(Settings, name, Options.fault_percent)
        add(f"--{flag}", type=number, default=default, dest=name, help=f"{text} ({default})")
    add("--seed", type=int, default=Options.seed, help="of the random faults (default 1)")


def number(text: str) -> float:
    value = float(text)
    if not 0 <= value <= NUMBER_MAX:
        raise argparse.ArgumentTypeError(f"must be between 0 and {NUMBER_MAX}")
    return value


def from_arguments(values: dict[str, Any]) -> Options:
    settings = Settings(**{name: values[name] for name in HELP if name != "fault_percent"})
    names = ("port", "directory", "sign_mode", "fault_percent", "seed")
    return Options(settings=settings, **{name: values[name] for name in names})
