"""Fields that staff pages ask for: amounts by the API's rules, reasons, forms sent only once."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from tcmpay.common.ids import new_id
from tcmpay.common.money import MoneyError, format_money, parse_money, without_separators

REASON_LENGTH_MAX = 500
WITHDRAW = "withdraw"


class AmountFormField(forms.CharField):
    """An amount in yuan, by the same rules as in the API, or as pages print it: ``1,234.56``."""

    widget = UnfoldAdminTextInputWidget

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        return {**super().widget_attrs(widget), "inputmode": "decimal", "autocomplete": "off"}

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else format_money(value)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return parse_money(without_separators(text))
        except MoneyError as error:
            raise ValidationError(
                _('金额应大于 0 且不超过 99999999.99，最多两位小数，例如 "30.00"')
            ) from error


class ReasonFormField(forms.CharField):
    """Why something is done: kept in the audit trail."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "label": _("原因"),
                "max_length": REASON_LENGTH_MAX,
                "widget": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
                "error_messages": {"required": _("请写明原因，它会记入审计记录。")},
                **kwargs,
            }
        )


class OnceForm(forms.Form):
    """Carries an id made when the page was shown: sent twice, it is recognised."""

    form_id = forms.UUIDField(widget=forms.HiddenInput, initial=new_id)


class DecisionForm(forms.Form):
    """What one person says of what another asked for: no needs a reason, yes may have one.

    ``decisions`` are what the page's buttons send: yes, no, and taking it back.
    """

    notes = forms.CharField(
        label=_("备注"),
        required=False,
        max_length=REASON_LENGTH_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )

    def __init__(
        self, *args: Any, decisions: Sequence[str], reason_missing: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.no, self.reason_missing = decisions[1], reason_missing
        choices = [(name, name) for name in decisions]
        self.fields["decision"] = forms.ChoiceField(choices=choices)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if cleaned.get("decision") == self.no and not cleaned.get("notes"):
            self.add_error("notes", self.reason_missing)
        return cleaned
