import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from balances.errors import BalanceLimit, BalanceUnderReview
from balances.models import UserBalance
from balances.services import account_ensure, balance_top_up
from tcmpay.common.money import Money, MoneyError, format_money, parse_money
from tcmpay.common.operator import operator_actor, user_argument


class Command(BaseCommand):
    help = (
        "为用户建立余额账户，可同时入账一笔金额（写入流水与审计）。"
        "Create a user's account, with a ledger entry for the amount."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, help="user UUID")
        parser.add_argument("--amount", help="yuan to credit, e.g. 100.00")
        parser.add_argument("--reason", help="why; required with --amount")
        parser.add_argument("--json", action="store_true", help="print the account as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        user_id = user_argument(options["user"])
        amount, reason = options["amount"], options["reason"]
        if (amount is None) != (reason is None):
            raise CommandError("--amount 与 --reason 必须同时给出 / go together")
        account_ensure(user_id)
        if amount is not None:
            try:
                balance_top_up(
                    user_id=user_id,
                    amount=self._money(amount),
                    reason=reason,
                    actor=operator_actor(),
                )
            except (BalanceLimit, BalanceUnderReview) as error:
                raise CommandError(str(error.text)) from error
        self._print(UserBalance.objects.get(user_id=user_id), options["json"])

    def _money(self, text: str) -> Money:
        try:
            return parse_money(text)
        except MoneyError as error:
            raise CommandError(f"--amount 应为金额，例如 100.00 / an amount: {text}") from error

    def _print(self, account: UserBalance, is_json: bool) -> None:
        body = {"user_id": str(account.user_id), "balance": format_money(account.balance)}
        if is_json:
            self.stdout.write(json.dumps(body))
        else:
            self.stdout.write(f"{body['user_id']} {body['balance']}")
