"""Further certificates that Alipay signs with, fetched by a call and kept for every process.

A row proves nothing: whenever it is used, its chain has to end at the configured root (see
gateways/alipay/chain.py), whoever wrote it.
"""

import logging
from collections.abc import Mapping

from config.gateways.versions import AUDIT_OBJECT, audit_id
from config.models import GatewayCertificate, GatewayMethod
from gateways.alipay.chain import KEPT_CERTIFICATES
from gateways.alipay.configuration import is_certificate_mode
from gateways.keys import alipay_certificate_sn, load_certificate
from tcmpay.audit.services import audit_record
from tcmpay.common import clock
from tcmpay.common.actor import SYSTEM
from tcmpay.common.db import money_unit

logger = logging.getLogger(__name__)

ALIPAY = GatewayMethod.ALIPAY.value
KEPT_MAX = 3


def with_certificates_kept(method: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """``values`` with the newest certificates that were kept, where the mode has any."""
    if method != ALIPAY or not is_certificate_mode(values):
        return values
    rows = GatewayCertificate.objects.filter(payment_method=method)
    texts = rows.order_by("-fetched_at").values_list("pem", flat=True)[:KEPT_MAX]
    return {**values, KEPT_CERTIFICATES: "".join(texts)} if texts else values


def certificate_keep(pem: str) -> None:
    """Keep what a call of Alipay's fetched and found good; an answer must not be lost for it."""
    try:
        _keep(alipay_certificate_sn(load_certificate(pem)), pem)
    except Exception:
        logger.exception("gateway_certificate_not_kept")


@money_unit
def _keep(serial: str, pem: str) -> None:
    _row, is_new = GatewayCertificate.objects.get_or_create(
        payment_method=ALIPAY, serial=serial, defaults={"pem": pem, "fetched_at": clock.now()}
    )
    if is_new:
        audit_record(
            object_type=AUDIT_OBJECT,
            object_id=audit_id(ALIPAY, "alipay_cert"),
            action="config_certificate_kept",
            actor=SYSTEM,
            details={"method": ALIPAY, "serial": serial},
        )
