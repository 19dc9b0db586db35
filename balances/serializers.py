"""What an account and its entries look like in an answer."""

from rest_framework import serializers

from balances.models import EntryType, RelatedType


class BalanceSchema(serializers.Serializer):
    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    balance = serializers.CharField(help_text="available, yuan, two places")
    frozen_balance = serializers.CharField()
    total_income = serializers.CharField()
    total_expense = serializers.CharField()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class BalanceEntrySchema(serializers.Serializer):
    id = serializers.UUIDField()
    user_id = serializers.UUIDField()
    transaction_type = serializers.ChoiceField(choices=EntryType.choices)
    amount = serializers.CharField()
    balance_before = serializers.CharField()
    balance_after = serializers.CharField()
    related_type = serializers.ChoiceField(choices=RelatedType.choices)
    related_id = serializers.UUIDField()
    description = serializers.CharField()
    created_at = serializers.DateTimeField()
