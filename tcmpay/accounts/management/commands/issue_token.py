from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from tcmpay.accounts.services import CannotIssueToken, token_issue_by_hand
from tcmpay.common.actor import TOKEN_ROLES, Role
from tcmpay.common.operator import operator_actor, user_argument

DEVELOPMENT_TTL_SECONDS = 7 * 24 * 3600
TTL_MAX_SECONDS = 366 * 24 * 3600


class Command(BaseCommand):
    help = "打印一个平台令牌（标准输出只有令牌本身）。Print one platform token and nothing else."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", required=True, help="user UUID (sub)")
        parser.add_argument("--role", required=True, choices=sorted(TOKEN_ROLES))
        parser.add_argument(
            "--ttl-seconds",
            type=int,
            help="validity; with DEBUG off it must be given (default with DEBUG on: 7 days)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            token = token_issue_by_hand(
                user_id=user_argument(options["user"]),
                role=Role(options["role"]),
                ttl_seconds=self._ttl(options["ttl_seconds"]),
                actor=operator_actor(),
            )
        except CannotIssueToken as error:
            raise CommandError(
                "只配置了平台公钥，无法签发令牌：请由平台签发。"
                "Only the platform's public key is configured: let the platform issue tokens."
            ) from error
        except DatabaseError as error:
            raise CommandError(
                "数据库不可用，无法留痕，因此没有签发。"
                "The database can't be reached: no record, no token."
            ) from error
        self.stdout.write(token)

    def _ttl(self, given: int | None) -> int:
        if given is None and settings.DEBUG:
            return DEVELOPMENT_TTL_SECONDS
        if given is None:
            raise CommandError("DEBUG 关闭时必须指定 --ttl-seconds / required with DEBUG off")
        if not 1 <= given <= TTL_MAX_SECONDS:
            raise CommandError(f"--ttl-seconds: 1 … {TTL_MAX_SECONDS}")
        return given
