"""What can be chosen: at start by options, while running by the control API."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

SIGN_MODES = ("pubkey", "cert", "mixed")
REFUND_OUTCOMES = ("SUCCESS", "ABNORMAL", "CLOSED")
# Which certificate Alipay signs by: the one that clients were given, its successor, or one that
# nobody should believe.
ALIPAY_CERTIFICATES = {"current": "alipay", "next": "alipay_next", "rogue": "alipay_rogue"}
CHOICES = {"refund_outcome": REFUND_OUTCOMES, "alipay_certificate": tuple(ALIPAY_CERTIFICATES)}


@dataclass(frozen=True)
class Options:
    port: int
    directory: Path
    sign_mode: str = "pubkey"
    notify_factor: float = 0.05
    spacing_factor: float = 0.05
    refund_delay_seconds: float = 2.0
    fault_percent: float = 0.0
    seed: int = 1


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
            ValueError: an unknown name, a wrong type or a value out of range.
        """
        checked = {name: self.checked(name, value) for name, value in wanted.items()}
        for name, value in checked.items():
            setattr(self, name, value)

    def checked(self, name: str, value: Any) -> Any:
        if name not in {field.name for field in fields(self)}:
            raise ValueError(f"unknown setting {name}")
        current = getattr(self, name)
        if isinstance(current, bool) != isinstance(value, bool):
            raise ValueError(f"{name} has the wrong type")
        if isinstance(current, float) and not isinstance(value, int | float):
            raise ValueError(f"{name} must be a number")
        if isinstance(current, float) and not 0 <= value <= 100_000:
            raise ValueError(f"{name} is out of range")
        if isinstance(current, str) and not isinstance(value, str):
            raise ValueError(f"{name} must be text")
        if name in CHOICES and value not in CHOICES[name]:
            raise ValueError(f"{name} must be one of {', '.join(CHOICES[name])}")
        return float(value) if isinstance(current, float) else value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``python -m simulator`` and of ``manage.py gateway_simulator`` alike."""
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1 (0: any free)")
    parser.add_argument(
        "--dir", required=True, metavar="DIR", help="receives keys, config.json and the books"
    )
    parser.add_argument(
        "--sign-mode",
        choices=SIGN_MODES,
        default="pubkey",
        help="WeChat answers by public key, by platform certificate, or both during a migration",
    )
    parser.add_argument(
        "--notify-factor",
        type=positive,
        default=0.05,
        help="times the real waits between tries of a notification (default 0.05: 15 s are 0.75 s)",
    )
    parser.add_argument(
        "--spacing-factor",
        type=positive,
        default=0.05,
        help="times the real least time between refunds of one trade (default 0.05: 60 s are 3 s)",
    )
    parser.add_argument(
        "--refund-delay",
        type=positive,
        default=2.0,
        metavar="SECONDS",
        help="until an accepted WeChat refund settles (default 2)",
    )
    parser.add_argument(
        "--fault-percent",
        type=positive,
        default=0.0,
        help="chance of EACH kind of fault at each call, in percent (default 0)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the random faults (default 1)")


def positive(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100_000:
        raise argparse.ArgumentTypeError("must be between 0 and 100000")
    return value


def from_arguments(values: dict[str, Any]) -> Options:
    return Options(
        port=values["port"],
        directory=Path(values["dir"]),
        sign_mode=values["sign_mode"],
        notify_factor=values["notify_factor"],
        spacing_factor=values["spacing_factor"],
        refund_delay_seconds=values["refund_delay"],
        fault_percent=values["fault_percent"],
        seed=values["seed"],
    )
