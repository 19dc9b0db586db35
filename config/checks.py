"""What must always be true of prices and configuration, for ``audit_money``.

C1 the periods of one service's price never overlap
C2 a configuration row has a key that its gateway knows
C3 a secret is never stored in plain text
C4 what is sealed can be opened, in rows and in versions
C5 at most one version of a gateway's configuration is in force
"""

import json
from collections import defaultdict
from collections.abc import Iterator

from django.db.models import Count
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.crypto import ConfigSecretUnreadable, is_sealed, unseal
from config.keys import KNOWN_KEYS
from config.models import PaymentConfig, PaymentConfigVersion, PriceConfig
from config.price_periods import overlaps
from config.versions import audit_id
from tcmpay.common.invariants import Violation


def invariants(*, using: str = "default") -> Iterator[Violation]:
    """Everything that is wrong, read through the database alias ``using``."""
    yield from _price_overlaps(using)
    yield from _config_rows(using)
    yield from _versions(using)


def _price_overlaps(using: str) -> Iterator[Violation]:
    by_service: dict[str, list[PriceConfig]] = defaultdict(list)
    for price in PriceConfig.objects.using(using).filter(is_active=True):
        by_service[price.service_type].append(price)
    for service_type, periods in by_service.items():
        for _earlier, later in overlaps(periods):
            yield Violation(
                "C1",
                "price",
                str(later.id),
                _("%(service)s 自 %(day)s 起的价格与之前的价格时间重叠")
                % {"service": service_type, "day": later.effective_date},
            )


def _config_rows(using: str) -> Iterator[Violation]:
    for row in PaymentConfig.objects.using(using).order_by("payment_method", "config_key"):
        name = audit_id(row.payment_method, row.config_key)
        key = KNOWN_KEYS.get(row.payment_method, {}).get(row.config_key)
        if key is None:
            yield _violation("C2", name, _("支付平台不认识的配置项"))
        elif row.config_value and key.is_secret and not is_sealed(row.config_value):
            yield _violation(
                "C3", name, _("机密以明文保存，请运行 manage.py rotate_config_keys 或重新填写")
            )
        if is_sealed(row.config_value) and not _is_readable(row.config_value):
            yield _violation("C4", name, _("无法解密：CONFIG_ENCRYPTION_KEYS 缺少加密时的密钥"))


def _versions(using: str) -> Iterator[Violation]:
    versions = PaymentConfigVersion.objects.using(using)
    for version in versions.order_by("payment_method", "number").iterator(chunk_size=50):
        name = f"{version.payment_method} v{version.number}"
        if not all(map(_is_readable, _sealed_values(version))):
            yield Violation("C4", "payment_config_version", name, _("历史版本无法解密"))
    running = versions.filter(retired_at=None).values("payment_method")
    for row in running.annotate(count=Count("id")).filter(count__gt=1):
        yield Violation(
            "C5",
            "payment_config_version",
            row["payment_method"],
            _("同时有 %(count)s 个现行版本") % {"count": row["count"]},
        )


def _sealed_values(version: PaymentConfigVersion) -> list[str]:
    try:
        return [str(text) for text in json.loads(version.encrypted_values).values()]
    except (ValueError, AttributeError):
        return [""]


def _is_readable(stored: str) -> bool:
    try:
        unseal(stored)
    except ConfigSecretUnreadable:
        return False
    return True


def _violation(code: str, name: str, message: str | Promise) -> Violation:
    return Violation(code, "payment_config", name, message)
