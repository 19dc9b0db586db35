"""What the pages of endpoints ask for in common."""

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from backoffice.webhooks.words import type_text
from webhooks.states import EventType

MANAGE = "webhooks.manage_endpoints"


class TypesField(forms.MultipleChoiceField):
    """What an address subscribes to; none is all."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            **{
                "label": gettext_lazy("订阅的事件"),
                "required": False,
                "choices": lambda: [(one.value, type_text(one.value)) for one in EventType],
                "widget": UnfoldAdminCheckboxSelectMultipleWidget(),
                "help_text": gettext_lazy("一个都不选就是全部，以后新增的事件也会送去。"),
                **kwargs,
            }
        )
