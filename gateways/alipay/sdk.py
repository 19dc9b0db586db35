"""The SDK's client, imported without its side effect and corrected where it sends wrong things.

``import alipay`` runs logging.config.dictConfig, which closes every logging handler that exists
at that moment: a log file opened before would stay silent for ever.
"""

import logging.config
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from gateways import keys
from gateways.configuration import ALIPAY_SIGN_TYPE, AlipayConfig
from gateways.texts import shanghai_wall_clock

_dict_config = logging.config.dictConfig
logging.config.dictConfig = lambda config: None
try:
    from alipay import AliPay
finally:
    logging.config.dictConfig = _dict_config


class AlipayClient(AliPay):
    """Signs requests, in key mode and in certificate mode; sends nothing itself."""

    def __init__(self, config: AlipayConfig, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(
            appid=config.app_id,
            app_private_key_string=keys.private_key_pem(config.private_key),
            alipay_public_key_string=keys.public_key_pem(config.alipay_public_key),
            sign_type=ALIPAY_SIGN_TYPE,
        )
        self._clock = clock
        self._certificate_names = {
            "app_cert_sn": config.app_cert_sn,
            "alipay_root_cert_sn": config.root_cert_sn,
        }

    def build_body(self, method: str, biz_content: Any = None, **public: str) -> dict[str, Any]:
        """The SDK stamps requests in the zone of the process; Alipay expects Beijing time."""
        fields: dict[str, Any] = super().build_body(method, biz_content, **public)
        fields["timestamp"] = shanghai_wall_clock(datetime.fromtimestamp(self._clock(), UTC))
        fields.update({name: sn for name, sn in self._certificate_names.items() if sn})
        return fields
