"""One form per gateway: real fields, keys pasted or uploaded, secrets never rendered back."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from config.gateways.fields import VALUE_BYTES_MAX, ConfigKey, keys_of
from gateways.key_blocks import KEY_FILE_BYTES_MAX, KeyUnreadable
from gateways.key_texts import FILE_KINDS, Kind, normalised
from tcmpay.common.addresses import AddressRefused

# What belongs together, in the order in which a merchant fills it in.
SECTIONS: Mapping[str, tuple[tuple[Any, tuple[str, ...]], ...]] = {
    "wechat": (
        (
            _("商户与应用"),
            ("mch_id", "app_id", "app_id_jsapi", "app_id_mini_program", "app_id_app"),
        ),
        (_("商户的密钥"), ("api_v3_key", "private_key", "merchant_cert", "cert_serial_no")),
        (_("微信支付的公钥"), ("public_key_id", "public_key", "platform_cert")),
        (_("地址"), ("notify_url",)),
        (_("较少使用"), ("cert_path", "api_key", "base_url")),
    ),
    "alipay": (
        (_("应用与收款方"), ("app_id", "seller_id")),
        (_("密钥（密钥模式）"), ("private_key", "public_key")),
        (_("证书（证书模式，三份都要）"), ("app_cert", "alipay_cert", "root_cert")),
        (_("地址"), ("notify_url", "return_url")),
        (_("较少使用"), ("gateway_url",)),
    ),
}
LONG_KINDS = FILE_KINDS - {Kind.SERIAL}
Shown = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One value on the page: its field, its file field, and whether it can be cleared."""

    key: ConfigKey
    field: Any
    file: Any
    clear: Any
    is_set: bool
    is_changed: bool
    is_lost: bool
    stored: str | Promise


@dataclass(frozen=True)
class Problem:
    """Something that kept the form from being saved; without a key it is about the whole."""

    key: ConfigKey | None
    text: str


class GatewayForm(forms.Form):
    """``shown`` are the values that may be rendered, ``held`` the names of those that are set."""

    def __init__(
        self,
        *args: Any,
        method: str,
        shown: Shown,
        held: frozenset[str],
        write_only: frozenset[str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.keys = keys_of(method)
        self.method, self.held, self.write_only = method, held, write_only
        for name, key in self.keys.items():
            self.fields[name] = self._field(key)
            if name not in write_only:
                self.initial[name] = shown.get(name, "")
            if key.kind in FILE_KINDS:
                self.fields[f"{name}_file"] = forms.FileField(required=False, max_length=255)
            if name in write_only and name in held:
                self.fields[f"{name}_clear"] = forms.BooleanField(required=False)

    def _field(self, key: ConfigKey) -> forms.CharField:
        attributes: dict[str, Any] = {"autocomplete": "off", "spellcheck": "false"}
        widget: forms.Widget
        if key.kind in LONG_KINDS:
            widget = UnfoldAdminTextareaWidget(attrs={**attributes, "rows": 4})
        else:
            widget = UnfoldAdminTextInputWidget(attrs=attributes)
        if key.name in self.write_only:
            placeholder = _("已设置，不显示；留空表示不修改") if key.name in self.held else ""
            widget.attrs["placeholder"] = str(placeholder)
        return forms.CharField(
            label=key.description,
            help_text=key.where,
            required=False,
            max_length=KEY_FILE_BYTES_MAX if key.kind in FILE_KINDS else VALUE_BYTES_MAX,
            widget=widget,
        )

    def __getitem__(self, name: str) -> Any:
        bound = super().__getitem__(name)
        if name in self.write_only:
            # Never rendered back, not even what was typed just now and refused.
            bound.value = lambda: ""  # type: ignore[method-assign]
        return bound

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for name, key in self.keys.items():
            if name in self.errors:
                continue
            try:
                given = self._given(name)
                cleaned[name] = normalised(key.kind, given) if given else ""
                if len(cleaned[name]) > VALUE_BYTES_MAX:
                    raise KeyUnreadable(_("文件过大，不是密钥或证书"))
                if cleaned[name] and key.ensure_valid is not None:
                    key.ensure_valid(cleaned[name])
            except (KeyUnreadable, AddressRefused) as error:
                self.add_error(name, ValidationError(error.text))
        return cleaned

    def _given(self, name: str) -> str | bytes:
        """What was uploaded, else what was typed."""
        file = self.cleaned_data.get(f"{name}_file")
        if file is None:
            return str(self.cleaned_data.get(name) or "").strip()
        if file.size > KEY_FILE_BYTES_MAX:
            raise KeyUnreadable(_("文件过大，不是密钥或证书"))
        return bytes(file.read())

    def wanted(self) -> dict[str, str]:
        """What is to be different: empty for what is to be cleared."""
        changes: dict[str, str] = {}
        for name in self.keys:
            value = self.cleaned_data.get(name, "")
            if name not in self.write_only or value:
                changes[name] = value
            elif self.cleaned_data.get(f"{name}_clear"):
                changes[name] = ""
        return changes

    def problems(self) -> list[Problem]:
        return [
            Problem(self.keys.get(name.removesuffix("_file")), str(text))
            for name, texts in self.errors.items()
            for text in texts
        ]

    def lost(self) -> list[ConfigKey]:
        """What was entered and refused with the rest, and has to be entered again: secrets are
        not rendered back, and no page can fill in a file again."""
        if not self.errors:
            return []
        return [key for name, key in self.keys.items() if self._is_gone(name)]

    def _is_gone(self, name: str) -> bool:
        is_typed = name in self.write_only and bool(self.data.get(name))
        return is_typed or f"{name}_file" in self.files

    def sections(
        self, changed: frozenset[str], stored: Mapping[str, str | Promise]
    ) -> Iterator[tuple[Any, list[Row]]]:
        lost = {key.name for key in self.lost()}
        for name in lost:
            # "Empty: leave it as it is" would keep the old key without a word.
            self.fields[name].widget.attrs["placeholder"] = ""
        for title, names in SECTIONS[self.method]:
            rows = [self._row(name, changed, lost, stored) for name in names if name in self.keys]
            if rows:
                yield title, rows

    def _row(
        self,
        name: str,
        changed: frozenset[str],
        lost: Set[str],
        stored: Mapping[str, str | Promise],
    ) -> Row:
        return Row(
            key=self.keys[name],
            field=self[name],
            file=self[f"{name}_file"] if f"{name}_file" in self.fields else None,
            clear=self[f"{name}_clear"] if f"{name}_clear" in self.fields else None,
            is_set=name in self.held,
            is_changed=name in changed,
            is_lost=name in lost,
            stored=stored.get(name, ""),
        )
