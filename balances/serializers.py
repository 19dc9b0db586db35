"""What an account and its entries look like in an answer."""

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from balances.models import EntryType, RelatedType
from tcmpay.common.api.serializers import AnsweredAmountField


class UserBalanceSchema(serializers.Serializer):
    about = _("一个用户的余额账户")

    id = serializers.UUIDField(help_text=_("编号"))
    user_id = serializers.UUIDField(help_text=_("谁的"))
    balance = AnsweredAmountField(help_text=_("可用余额（元）"))
    frozen_balance = AnsweredAmountField(help_text=_("冻结余额（元）"))
    total_income = AnsweredAmountField(help_text=_("收入合计（元）"))
    total_expense = AnsweredAmountField(help_text=_("支出合计（元）"))
    created_at = serializers.DateTimeField(help_text=_("创建时刻"))
    updated_at = serializers.DateTimeField(help_text=_("最后一次变化的时刻"))


class BalanceTransactionSchema(serializers.Serializer):
    about = _("余额的一次变动")

    id = serializers.UUIDField(help_text=_("编号"))
    user_id = serializers.UUIDField(help_text=_("谁的"))
    transaction_type = serializers.ChoiceField(choices=EntryType.choices)
    amount = AnsweredAmountField(help_text=_("变动金额（元），总是正数：方向看 transaction_type"))
    balance_before = AnsweredAmountField(help_text=_("变动前的可用余额（元）"))
    balance_after = AnsweredAmountField(help_text=_("变动后的可用余额（元）"))
    related_type = serializers.ChoiceField(choices=RelatedType.choices, help_text=_("因为什么变动"))
    related_id = serializers.UUIDField(help_text=_("那个订单、退款等的编号"))
    description = serializers.CharField(help_text=_("说明"))
    created_at = serializers.DateTimeField(help_text=_("变动时刻"))
