"""The form of a price: what is asked for; the plan made of it decides whether it fits."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import (
    UnfoldAdminDateWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from backoffice.site.forms import AmountFormField, ReasonFormField
from config.models import PriceConfig
from config.prices.plan import PriceChange
from tcmpay.common import clock
from tcmpay.common.order_types import SERVICE_TYPES


class DayField(forms.DateField):
    def __init__(self, **kwargs: Any) -> None:
        widget = UnfoldAdminDateWidget(attrs={"type": "date"}, format="%Y-%m-%d")
        super().__init__(input_formats=["%Y-%m-%d"], widget=widget, **kwargs)


class PriceForm(forms.Form):
    """Of a period that is there (``period``), of one to be restored, or of a new service."""

    service_type = forms.CharField(
        label=gettext_lazy("服务类型"),
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("小写字母、数字和下划线，例如 massage；以后不能更改"),
    )
    service_name = forms.CharField(
        label=gettext_lazy("服务名称"), max_length=100, widget=UnfoldAdminTextInputWidget
    )
    order_type = forms.ChoiceField(
        label=gettext_lazy("订单类型"),
        choices=[("", "---------"), *SERVICE_TYPES],
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("这个服务给哪类订单定价；以后不能更改"),
    )
    price = AmountFormField(label=gettext_lazy("价格（元）"))
    discount_price = AmountFormField(
        label=gettext_lazy("优惠价（元）"),
        required=False,
        help_text=gettext_lazy("填写后按优惠价收取；留空按价格收取"),
    )
    is_active = forms.BooleanField(
        label=gettext_lazy("启用"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text=gettext_lazy("停用后该服务在此期间没有价格，不能下单"),
    )
    effective_date = DayField(
        label=gettext_lazy("生效日期"),
        help_text=gettext_lazy("改为更晚的日期将开始新的价格，原价格在前一日结束"),
    )
    expiry_date = DayField(
        label=gettext_lazy("失效日期"),
        required=False,
        help_text=gettext_lazy("含当日；不填表示长期有效"),
    )
    description = forms.CharField(
        label=gettext_lazy("说明"),
        required=False,
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    reason = ReasonFormField(label=gettext_lazy("改价原因"))
    # Asked for in the preview, where nothing is charged after the last day.
    is_end_known = forms.BooleanField(required=False, widget=forms.HiddenInput)
    # What the periods were when the preview was shown.
    seen = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, period: PriceConfig | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.period = period
        if period is not None:
            del self.fields["service_type"]
            del self.fields["order_type"]

    def clean_effective_date(self) -> Any:
        """What has been charged already is not rewritten: a new period begins today or later."""
        day = self.cleaned_data["effective_date"]
        is_own = self.period is not None and day == self.period.effective_date
        if day < clock.today() and not is_own:
            raise forms.ValidationError(
                _("生效日期不能早于今天；修改当前价格请保留它原来的生效日期")
            )
        return day

    def change(self) -> PriceChange:
        """What is asked for. A price that ran until yesterday is not rewritten: what it becomes
        now begins today, so that the calendar goes on telling what was charged."""
        wanted = self.cleaned_data
        day = wanted["effective_date"]
        if self.period is not None and day == self.period.effective_date and self._is_other_price():
            day = max(day, clock.today())
        service_type = self.period.service_type if self.period else wanted["service_type"]
        return PriceChange(
            service_type=service_type,
            price=wanted["price"],
            service_name=wanted["service_name"],
            discount_price=wanted["discount_price"],
            is_active=wanted["is_active"],
            effective_date=day,
            expiry_date=wanted["expiry_date"],
            description=wanted["description"],
            order_type=wanted.get("order_type"),
        )

    def _is_other_price(self) -> bool:
        names = ("price", "discount_price", "is_active")
        return any(self.cleaned_data[name] != getattr(self.period, name) for name in names)


def initial_of(period: PriceConfig) -> dict[str, Any]:
    """A period's values, for its form."""
    return {
        "service_name": period.service_name,
        "price": period.price,
        "discount_price": period.discount_price,
        "is_active": period.is_active,
        "effective_date": period.effective_date,
        "expiry_date": period.expiry_date,
        "description": period.description,
    }
