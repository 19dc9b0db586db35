"""The SDK's client, imported without its side effect.

``import alipay`` runs logging.config.dictConfig, which closes every logging handler that exists
at that moment: a log file opened before would stay silent for ever.
"""

import logging.config

from gateways import keys
from gateways.alipay.configuration import SIGN_TYPE, AlipayConfig

_dict_config = logging.config.dictConfig
logging.config.dictConfig = lambda config: None
try:
    from alipay import AliPay
finally:
    logging.config.dictConfig = _dict_config


def request_signer(config: AlipayConfig) -> AliPay:
    """A client whose ``client_api`` builds and signs requests; it is never let send one."""
    return AliPay(
        appid=config.app_id,
        app_private_key_string=keys.private_key_pem(config.private_key),
        alipay_public_key_string=keys.public_key_pem(config.alipay_public_key),
        sign_type=SIGN_TYPE,
    )
