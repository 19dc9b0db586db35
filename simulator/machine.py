"""One running stand-in: its keys, books, faults and settings, handed to every handler."""

from __future__ import annotations

import random
import threading
from collections import OrderedDict
from typing import Any

from simulator import clock
from simulator.faults import Faults
from simulator.keys import KeyRing, Signer, open_keys, replace_keys
from simulator.options import ALIPAY_CERTIFICATES, Options
from simulator.store import Store

DATABASE_FILE = "simulator.sqlite3"


class ShortMemory:
    """What is kept for some seconds: nonces that were used, downloads by their token."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Any]] = OrderedDict()

    def add(self, name: str, value: Any = None, *, seconds: float) -> bool:
        """False when the name is still kept."""
        with self._lock:
            while self._kept:
                until, _ = next(iter(self._kept.values()))
                if len(self._kept) < self._most and until > clock.now():
                    break
                self._kept.popitem(last=False)
            if name in self._kept:
                return False
            self._kept[name] = (clock.now() + seconds, value)
            return True

    def get(self, name: str) -> Any | None:
        """None once its time is over."""
        with self._lock:
            until, value = self._kept.get(name, (0.0, None))
        return value if clock.now() < until else None


class Machine:
    def __init__(self, options: Options, base_url: str) -> None:
        self.options = options
        self.base_url = base_url
        self.keys: KeyRing = open_keys(options.directory, base_url, options.sign_mode)
        self.store = Store(options.directory / DATABASE_FILE)
        self.settings = options.settings
        self.faults = Faults(percent=options.fault_percent, seed=options.seed)
        self.random = random.Random(options.seed)
        self.nonces = ShortMemory(200_000)
        self.downloads = ShortMemory(1_000)
        self.book_clock = clock.BookClock()
        # By channel, day and kind ("": every one): what is wrong with bills, and how often it was.
        self.bill_faults: dict[tuple[str, str, str], list[Any]] = {}
        self.stopping = threading.Event()

    def wechat_signer(self, wanted_serial: str) -> Signer | None:
        """The key that signs an answer; None when the request names one that is not in use.

        During a migration answers follow the Wechatpay-Serial of the request
        [wechatpay-v3.md section 9].
        """
        by_key, by_certificate = self.keys.by_public_key, self.keys.by_certificate
        in_use = {
            "pubkey": [by_key], "cert": [by_certificate], "mixed": [by_certificate, by_key],
        }[self.options.sign_mode]  # fmt: skip
        if not wanted_serial:
            return in_use[0]
        return next((signer for signer in in_use if signer.serial == wanted_serial), None)

    def wechat_notice_signer(self) -> Signer:
        """During a migration WeChat itself mixes the keys of notifications."""
        percent = {"pubkey": 100.0, "cert": 0.0}.get(
            self.options.sign_mode, self.settings.mixed_pubkey_percent
        )
        is_by_key = self.random.random() * 100 < percent
        return self.keys.by_public_key if is_by_key else self.keys.by_certificate

    def alipay_signer(self) -> Signer:
        """What signs notifications, and answers to calls in certificate mode."""
        return self.keys.alipay_signer(ALIPAY_CERTIFICATES[self.settings.alipay_certificate])

    def replace_keys(self, names: list[str]) -> None:
        """Raises NotAllowed for names that are none."""
        self.keys = replace_keys(self.keys, names, self.base_url, self.options.sign_mode)
