"""One running stand-in: its keys, books, faults and notifications, handed to every handler."""

from __future__ import annotations

import random
import threading

from simulator.faults import Faults
from simulator.keys import AlipaySigner, KeyRing, WechatSigner, replace_keys
from simulator.nonces import Tokens, UsedNonces
from simulator.notify import Notifier
from simulator.options import ALIPAY_CERTIFICATES, Options, Settings
from simulator.store import Store


class Machine:
    def __init__(self, options: Options, keys: KeyRing, store: Store, base_url: str) -> None:
        self.options = options
        self.keys = keys
        self.store = store
        self.base_url = base_url
        self.settings = Settings(
            notify_factor=options.notify_factor,
            spacing_factor=options.spacing_factor,
            refund_delay_seconds=options.refund_delay_seconds,
        )
        self.faults = Faults(percent=options.fault_percent, seed=options.seed)
        self.random = random.Random(options.seed)
        self.nonces = UsedNonces()
        self.bill_tokens = Tokens()
        self.stopping = threading.Event()
        self.notifier = Notifier(self)

    def wechat_signer(self, wanted_serial: str) -> WechatSigner | None:
        """The key that signs an answer; None when the request names one that is not in use.

        During a migration answers follow the Wechatpay-Serial of the request
        [wechatpay-v3.md section 9].
        """
        in_use = {
            "pubkey": [self.keys.by_public_key],
            "cert": [self.keys.by_certificate],
            "mixed": [self.keys.by_certificate, self.keys.by_public_key],
        }[self.options.sign_mode]
        if not wanted_serial:
            return in_use[0]
        return next((signer for signer in in_use if signer.serial == wanted_serial), None)

    def wechat_notice_signer(self) -> WechatSigner:
        """During a migration WeChat itself mixes the keys of notifications."""
        if self.options.sign_mode == "pubkey":
            return self.keys.by_public_key
        if self.options.sign_mode == "cert":
            return self.keys.by_certificate
        by_public_key = self.random.uniform(0, 100) < self.settings.mixed_pubkey_percent
        return self.keys.by_public_key if by_public_key else self.keys.by_certificate

    def alipay_signer(self) -> AlipaySigner:
        """What signs notifications, and answers to calls in certificate mode."""
        return self.keys.by_alipay_certificate(
            ALIPAY_CERTIFICATES[self.settings.alipay_certificate]
        )

    def replace_keys(self, names: list[str]) -> None:
        """Raises ValueError for names that are none."""
        self.keys = replace_keys(
            self.keys, names, base_url=self.base_url, sign_mode=self.options.sign_mode
        )

    def stop(self) -> None:
        self.stopping.set()
        self.notifier.stop()
        self.store.close()
