"""A ``config.json`` (CONTRACT section 8) as values of both gateways, or of one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateways.doctor import examine
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable, text_of
from gateways.key_texts import Kind, normalised
from gateways.keys import is_serial_of, load_certificates
from tcmpay.common import clock

# "both" is a merchant on the way from the certificate to the public key.
SIGN_MODES = ("pubkey", "cert", "both")
# The three of Alipay's certificate mode: the field here and the configuration key.
ALIPAY_CERTIFICATES = (
    ("app_cert_file", "app_cert", Kind.CERTIFICATE),
    ("alipay_cert_file", "alipay_cert", Kind.CERTIFICATE),
    ("alipay_root_cert_file", "root_cert", Kind.ROOTS),
)
# Where a scene has an app of its own: the field here and the configuration key.
WECHAT_APPS_OF_SCENES = (
    ("appid_jsapi", "app_id_jsapi"),
    ("appid_mini_program", "app_id_mini_program"),
    ("appid_app", "app_id_app"),
)


class GatewayFileRefused(Exception):
    """``problems`` maps ``section.field`` to what is wrong; nothing was written."""

    def __init__(self, problems: Mapping[str, str | Promise]) -> None:
        self.problems = {name: str(text) for name, text in problems.items()}
        super().__init__("; ".join(f"{name}: {text}" for name, text in self.problems.items()))


@dataclass
class _Section:
    """Reads one section and collects what is wrong with it."""

    name: str
    given: Mapping[str, Any]
    folder: Path
    problems: dict[str, str | Promise] = field(default_factory=dict)

    def text(self, key: str, *, is_required: bool = True) -> str:
        value = self.given.get(key, "")
        if not isinstance(value, str):
            self.problems[f"{self.name}.{key}"] = _("应为文本")
            return ""
        if is_required and not value.strip():
            self.problems[f"{self.name}.{key}"] = _("未填写")
        return value.strip()

    def has(self, key: str) -> bool:
        return bool(self.given.get(key))

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.text(key, is_required=False) or default
        if value not in allowed:
            self.problems[f"{self.name}.{key}"] = _("应为 %(allowed)s") % {
                "allowed": " / ".join(allowed)
            }
        return value

    def file(self, key: str, kind: Kind) -> str:
        """What is in the file that ``key`` names, as it is stored."""
        name = self.text(key)
        if not name:
            return ""
        path = self.folder / name
        try:
            if path.stat().st_size > KEY_FILE_BYTES_MAX:
                raise KeyUnreadable(_("文件过大，不是密钥或证书"))
            return normalised(kind, path.read_bytes())
        except OSError as error:
            self.problems[f"{self.name}.{key}"] = f"{path}: {error.strerror}"
        except KeyUnreadable as error:
            self.problems[f"{self.name}.{key}"] = error.text
        except ValueError:  # a path that no file can have
            self.problems[f"{self.name}.{key}"] = _("不是文件路径")
        return ""


def read_gateway_file(path: Path) -> dict[str, dict[str, str]]:
    """Method → values, complete and readable, of the gateways that the file at ``path`` names.

    Raises GatewayFileRefused naming every problem.
    """
    whole = _read_json(path)
    readers = {"wechat": _wechat, "alipay": _alipay}
    if not whole.keys() & readers.keys():
        raise GatewayFileRefused({str(path): _("应有 wechat 或 alipay 一部分，或两部分都有")})
    configs: dict[str, dict[str, str]] = {}
    problems: dict[str, str | Promise] = {}
    for name in [name for name in readers if name in whole]:
        given = whole[name]
        if not isinstance(given, dict):
            raise GatewayFileRefused({name: _("应为 JSON 对象")})
        section = _Section(name, given, path.resolve().parent)
        configs[name] = readers[name](section)
        problems |= section.problems
    problems = problems or _doctor_problems(configs)
    if problems:
        raise GatewayFileRefused(problems)
    return {
        method: {key: value for key, value in values.items() if value}
        for method, values in configs.items()
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(text_of(path.read_bytes()))
    except OSError as error:
        raise GatewayFileRefused({str(path): error.strerror or str(error)}) from error
    except (ValueError, RecursionError) as error:
        raise GatewayFileRefused({str(path): _("不是有效的 JSON")}) from error
    if not isinstance(whole, dict):
        raise GatewayFileRefused({str(path): _("应为 JSON 对象")})
    return whole


def _wechat(section: _Section) -> dict[str, str]:
    values = {
        "app_id": section.text("appid"),
        **{key: section.text(name, is_required=False) for name, key in WECHAT_APPS_OF_SCENES},
        "mch_id": section.text("mchid"),
        "api_v3_key": section.text("apiv3_key"),
        "cert_serial_no": section.text("merchant_serial_no"),
        "private_key": section.file("merchant_private_key_file", Kind.PRIVATE_KEY),
        "base_url": section.text("base_url", is_required=False),
    }
    mode = section.one_of("sign_mode", SIGN_MODES, _sign_mode_meant(section))
    # A merchant in certificate mode must not announce a public key: answers follow it.
    if mode != "cert":
        values["public_key_id"] = section.text("public_key_id")
        values["public_key"] = section.file("platform_public_key_file", Kind.PUBLIC_KEY)
    if mode != "pubkey":
        values["platform_cert"] = section.file("platform_cert_file", Kind.CERTIFICATES)
        _check_serial(section, values["platform_cert"])
    elif certificate := _certificate_of_migration(section):
        values["platform_cert"] = certificate
    return values


def _sign_mode_meant(section: _Section) -> str:
    if not section.has("platform_public_key_file"):
        return "cert" if section.has("platform_cert_file") else "pubkey"
    return "both" if section.has("platform_cert_file") else "pubkey"


def _certificate_of_migration(section: _Section) -> str:
    """The platform certificate beside a public key, where the file has a valid one: WeChat goes
    on signing notices with it for some days. It isn't needed, so that a missing, old or broken
    one is no error."""
    quiet = _Section(section.name, section.given, section.folder)
    certificate = quiet.file("platform_cert_file", Kind.CERTIFICATES)
    _check_serial(quiet, certificate)
    if quiet.problems:
        return ""
    now = clock.now()
    is_valid = all(
        one.not_valid_before_utc <= now <= one.not_valid_after_utc
        for one in load_certificates(certificate)
    )
    return certificate if is_valid else ""


def _alipay(section: _Section) -> dict[str, str]:
    if section.text("sign_type", is_required=False) not in ("", "RSA2"):
        section.problems["alipay.sign_type"] = _("应为 %(allowed)s") % {"allowed": "RSA2"}
    if section.text("charset", is_required=False).lower() not in ("", "utf-8", "utf8"):
        section.problems["alipay.charset"] = _("应为 %(allowed)s") % {"allowed": "utf-8"}
    return {
        "app_id": section.text("app_id"),
        "seller_id": section.text("seller_id", is_required=False),
        "private_key": section.file("app_private_key_file", Kind.PRIVATE_KEY),
        "gateway_url": section.text("gateway_url", is_required=False),
        **_alipay_verifiers(section),
    }


def _alipay_verifiers(section: _Section) -> dict[str, str]:
    """Alipay's public key, or in certificate mode the three certificates instead."""
    if not any(section.has(field) for field, _key, _kind in ALIPAY_CERTIFICATES):
        return {"public_key": section.file("alipay_public_key_file", Kind.PUBLIC_KEY)}
    return {key: section.file(field, kind) for field, key, kind in ALIPAY_CERTIFICATES}


def _check_serial(section: _Section, certificates: str) -> None:
    given = section.text("platform_serial_no", is_required=False)
    if not certificates or not given:
        return
    if not any(is_serial_of(one, given) for one in load_certificates(certificates)):
        section.problems["wechat.platform_serial_no"] = _("与平台证书的序列号不一致")


def _doctor_problems(configs: Mapping[str, Mapping[str, str]]) -> dict[str, str | Promise]:
    """What the doctor would say afterwards, but for the notify_url, which is ours to set."""
    return {
        f"{method}.{finding.key}": finding.message
        for method, values in configs.items()
        for finding in examine(method, values, now=clock.now())
        if finding.level == "error" and finding.key != "notify_url"
    }
