"""The admin's forms: the service that writes is their last validation, and refuses at the field."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from config.keys import VALUE_BYTES_MAX
from config.models import PaymentConfig, PriceConfig
from config.selectors import is_write_only
from config.services import (
    gateway_config_clear,
    gateway_config_set,
    price_set,
)
from tcmpay.common.actor import Actor
from tcmpay.common.errors import InvalidInput
from tcmpay.common.money import MoneyError, format_money, parse_money


class AmountFormField(forms.CharField):
    """An amount in yuan, by the same rules as in the API."""

    widget = UnfoldAdminTextInputWidget

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else format_money(value)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_money(text)
        except MoneyError as error:
            raise ValidationError(
                _('金额应大于 0 且不超过 99999999.99，最多两位小数，例如 "30.00"')
            ) from error


class ServiceForm(forms.ModelForm):
    """Saves through a service while it is validated, so that refusals are shown at the field.

    The admin validates a form once, and only for who may change the object.
    """

    actor: ClassVar[Actor]
    saved: Any = None

    def full_clean(self) -> None:
        super().full_clean()
        if not self.is_bound or self.errors:
            return
        try:
            self.saved = self.write()
        except InvalidInput as error:
            for name, messages in error.errors.items():
                field = self.field_of(name)
                for message in messages:
                    self.add_error(field, str(message))

    def field_of(self, name: str) -> str | None:
        return name if name in self.fields else None

    def write(self) -> Any:
        raise NotImplementedError


class PriceForm(ServiceForm):
    price = AmountFormField(label=_("价格（元）"))
    discount_price = AmountFormField(label=_("优惠价（元）"), required=False)

    class Meta:
        model = PriceConfig
        fields = (
            "service_type",
            "service_name",
            "price",
            "discount_price",
            "is_active",
            "effective_date",
            "expiry_date",
            "description",
        )
        help_texts = {
            "effective_date": _("改为更晚的日期将开始新的价格，原价格在前一日结束"),
            "expiry_date": _("含当日；不填表示长期有效"),
        }

    def _get_validation_exclusions(self) -> set[str]:
        # The service decides what fits: the row that is shown isn't always the one that changes.
        return {field.name for field in PriceConfig._meta.fields}

    def validate_constraints(self) -> None:
        """As above."""

    def write(self) -> PriceConfig:
        wanted = self.cleaned_data
        is_new = self.instance._state.adding
        return price_set(
            actor=self.actor,
            service_type=wanted["service_type"] if is_new else self.instance.service_type,
            price=wanted["price"],
            service_name=wanted["service_name"],
            discount_price=wanted["discount_price"],
            is_active=wanted["is_active"],
            effective_date=wanted["effective_date"],
            expiry_date=wanted["expiry_date"],
            description=wanted["description"],
        )


class PaymentConfigForm(ServiceForm):
    value = forms.CharField(
        label=_("配置值"),
        required=False,
        max_length=VALUE_BYTES_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4, "autocomplete": "off"}),
    )
    is_to_clear = forms.BooleanField(
        label=_("清空此项"), required=False, widget=UnfoldBooleanSwitchWidget
    )

    class Meta:
        model = PaymentConfig
        fields = ("is_encrypted",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_write_only = is_write_only(self.instance)
        field = self.fields["value"]
        if self.is_write_only:
            # Never rendered back, not even after a refusal.
            is_set = bool(self.instance.config_value)
            field.widget.attrs["placeholder"] = str(_("已设置") if is_set else _("未设置"))
            field.help_text = _("机密不会显示；留空表示不修改")
        else:
            self.initial["value"] = self.instance.config_value

    def __getitem__(self, name: str) -> Any:
        bound = super().__getitem__(name)
        if name == "value" and self.is_write_only:
            bound.value = lambda: ""  # type: ignore[method-assign]
        return bound

    def field_of(self, name: str) -> str | None:
        return "value" if name in {"config_value", "config_key"} else super().field_of(name)

    def write(self) -> PaymentConfig:
        row, wanted = self.instance, self.cleaned_data
        if wanted["is_to_clear"]:
            return gateway_config_clear(
                actor=self.actor, method=row.payment_method, key=row.config_key
            )
        if not wanted["value"] and self.is_write_only:
            raise InvalidInput({"config_value": [_("请填写新的值；不修改请直接返回")]})
        return gateway_config_set(
            actor=self.actor,
            method=row.payment_method,
            key=row.config_key,
            value=wanted["value"],
            is_encrypted=wanted.get("is_encrypted"),
        )
