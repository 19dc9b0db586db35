"""What must always be true of gateway configuration, for ``audit_money``.

C2 a configuration row has a key that its gateway knows
C3 a secret is never stored in plain text
C4 what is sealed opens in its own place: in rows, versions, drafts, authenticators, endpoints
C5 at most one version of a gateway's configuration is in force
"""

import json
from collections.abc import Iterator

from django.db.models import Count
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from config.gateways.fields import KNOWN_KEYS
from config.gateways.places import draft_place, row_place, version_place
from config.gateways.versions import audit_id
from config.models import PaymentConfig, PaymentConfigDraft, PaymentConfigVersion
from tcmpay.accounts.services.second_factor import totp_keys_misplaced
from tcmpay.common.invariants import Violation
from tcmpay.common.sealing import Place, SealProblem, is_sealed, seal_problem
from webhooks.services.endpoints import endpoint_secrets_misplaced


def invariants(*, using: str = "default") -> Iterator[Violation]:
    """Everything that is wrong, read through the database alias ``using``."""
    yield from _config_rows(using)
    yield from _versions(using)
    yield from seals_in_place(using=using)


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


def _versions(using: str) -> Iterator[Violation]:
    versions = PaymentConfigVersion.objects.using(using)
    running = versions.filter(retired_at=None).values("payment_method")
    for row in running.annotate(count=Count("id")).filter(count__gt=1):
        yield Violation(
            "C5",
            "payment_config_version",
            row["payment_method"],
            _("同时有 %(count)s 个现行版本") % {"count": row["count"]},
        )


SEAL_PROBLEMS = {
    SealProblem.NOT_SEALED: _("应当加密的值没有加密，可能有人直接改过数据库"),
    SealProblem.UNBOUND: _(
        "旧格式的密文，不再被接受：请运行 manage.py rotate_config_keys 或重新填写"
    ),
    SealProblem.KEY_MISSING: _("无法解密：CONFIG_ENCRYPTION_KEYS 缺少加密时的密钥"),
    SealProblem.MISPLACED: _("密文不属于这里：被复制、移动或改动过，可能有人直接改过数据库"),
}


def seals_in_place(*, using: str = "default") -> Iterator[Violation]:
    """Every sealed value that does not open where it lies: moved, altered, or its key missing."""
    for object_type, name, stored, place in _sealed(using):
        if problem := seal_problem(stored, place):
            yield Violation("C4", object_type, name, SEAL_PROBLEMS[problem])
    for name, problem in totp_keys_misplaced(using=using):
        yield Violation("C4", "staff_totp_device", name, SEAL_PROBLEMS[problem])
    for endpoint_id, problem in endpoint_secrets_misplaced(using=using):
        yield Violation("C4", "webhook_endpoint", str(endpoint_id), SEAL_PROBLEMS[problem])


def _sealed(using: str) -> Iterator[tuple[str, str, str, Place]]:
    """Each sealed value of the configuration: of what, its name, its text, its place."""
    for row in PaymentConfig.objects.using(using).order_by("payment_method", "config_key"):
        if is_sealed(row.config_value):
            place = row_place(row.payment_method, row.config_key)
            name = audit_id(row.payment_method, row.config_key)
            yield "payment_config", name, row.config_value, place
    versions = PaymentConfigVersion.objects.using(using).order_by("payment_method", "number")
    for version in versions.iterator(chunk_size=50):
        for key, text in _texts(version.encrypted_values).items():
            name = f"{version.payment_method} v{version.number} {key}"
            place = version_place(version.id, version.payment_method, key)
            yield "payment_config_version", name, text, place
    for draft in PaymentConfigDraft.objects.using(using).order_by("payment_method"):
        for key, text in _texts(draft.encrypted_values).items():
            place = draft_place(draft.id, draft.payment_method, key)
            if text:
                yield "payment_config_draft", f"{draft.payment_method} {key}", text, place


def _texts(encrypted_values: str) -> dict[str, str]:
    try:
        return {key: str(text) for key, text in json.loads(encrypted_values).items()}
    except (ValueError, AttributeError):
        return {"?": "unreadable"}


def _violation(code: str, name: str, message: str | Promise) -> Violation:
    return Violation(code, "payment_config", name, message)
