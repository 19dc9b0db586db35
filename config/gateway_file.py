"""A ``config.json`` (CONTRACT section 8) as values of both gateways."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from gateways.doctor import examine
from gateways.keys import (
    KeyUnreadable,
    certificate_serial,
    load_certificate,
    load_private_key,
    load_public_key,
)
from tcmpay.common import clock

FILE_BYTES_MAX = 64 * 1024
SIGN_MODES = ("pubkey", "cert")


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

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        if value and value not in allowed:
            self.problems[f"{self.name}.{key}"] = _("应为 %(allowed)s") % {
                "allowed": " / ".join(allowed)
            }
        return value

    def file(self, key: str, load: Any) -> str:
        """The text of the file that ``key`` names, once ``load`` has read it."""
        name = self.text(key)
        if not name:
            return ""
        path = self.folder / name
        try:
            if path.stat().st_size > FILE_BYTES_MAX:
                raise ValueError("size")
            text = path.read_text(encoding="ascii").strip()
            load(text)
        except OSError as error:
            self.problems[f"{self.name}.{key}"] = f"{path}: {error.strerror}"
            return ""
        except KeyUnreadable as error:
            self.problems[f"{self.name}.{key}"] = error.text
            return ""
        except ValueError:
            self.problems[f"{self.name}.{key}"] = _("文件内容不是应有的密钥或证书")
            return ""
        return text


def read_gateway_file(path: Path) -> dict[str, dict[str, str]]:
    """Method → values, complete and readable, of the file at ``path``.

    Raises GatewayFileRefused naming every problem.
    """
    whole = _read_json(path)
    sections = {}
    for name in ("wechat", "alipay"):
        given = whole.get(name)
        if not isinstance(given, dict):
            raise GatewayFileRefused({name: _("缺少这一部分")})
        sections[name] = _Section(name, given, path.resolve().parent)
    configs = {"wechat": _wechat(sections["wechat"]), "alipay": _alipay(sections["alipay"])}
    problems = sections["wechat"].problems | sections["alipay"].problems
    if not problems:
        problems = _doctor_problems(configs)
    if problems:
        raise GatewayFileRefused(problems)
    return {
        method: {key: value for key, value in values.items() if value}
        for method, values in configs.items()
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GatewayFileRefused({str(path): error.strerror or str(error)}) from error
    except ValueError as error:
        raise GatewayFileRefused({str(path): _("不是有效的 JSON")}) from error
    if not isinstance(whole, dict):
        raise GatewayFileRefused({str(path): _("应为 JSON 对象")})
    return whole


def _wechat(section: _Section) -> dict[str, str]:
    values = {
        "app_id": section.text("appid"),
        "mch_id": section.text("mchid"),
        "api_v3_key": section.text("apiv3_key"),
        "cert_serial_no": section.text("merchant_serial_no"),
        "private_key": section.file("merchant_private_key_file", load_private_key),
        "base_url": section.text("base_url", is_required=False),
    }
    # Only what the mode needs: a merchant in certificate mode must not announce a public key.
    if section.one_of("sign_mode", SIGN_MODES) == "cert":
        values["platform_cert"] = section.file("platform_cert_file", load_certificate)
        _check_serial(section, values["platform_cert"])
    else:
        values["public_key_id"] = section.text("public_key_id")
        values["public_key"] = section.file("platform_public_key_file", load_public_key)
    return values


def _alipay(section: _Section) -> dict[str, str]:
    if section.text("sign_type", is_required=False) not in ("", "RSA2"):
        section.problems["alipay.sign_type"] = _("应为 %(allowed)s") % {"allowed": "RSA2"}
    if section.text("charset", is_required=False).lower() not in ("", "utf-8", "utf8"):
        section.problems["alipay.charset"] = _("应为 %(allowed)s") % {"allowed": "utf-8"}
    return {
        "app_id": section.text("app_id"),
        "seller_id": section.text("seller_id", is_required=False),
        "private_key": section.file("app_private_key_file", load_private_key),
        "public_key": section.file("alipay_public_key_file", load_public_key),
        "gateway_url": section.text("gateway_url", is_required=False),
    }


def _check_serial(section: _Section, certificate: str) -> None:
    given = section.text("platform_serial_no", is_required=False)
    if certificate and given:
        serial = certificate_serial(load_certificate(certificate))
        if serial.lstrip("0") != given.upper().lstrip("0"):
            section.problems["wechat.platform_serial_no"] = _("与平台证书的序列号不一致")


def _doctor_problems(configs: Mapping[str, Mapping[str, str]]) -> dict[str, str | Promise]:
    """What the doctor would say afterwards, but for the notify_url, which is ours to set."""
    return {
        f"{method}.{finding.key}": finding.message
        for method, values in configs.items()
        for finding in examine(method, values, now=clock.now())
        if finding.level == "error" and finding.key != "notify_url"
    }
