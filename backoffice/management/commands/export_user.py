import json
import os
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder

from backoffice.ops.user_export import user_data, user_export_record
from tcmpay.common import clock
from tcmpay.common.operator import operator_actor, user_argument


class Command(BaseCommand):
    help = (
        "导出系统里关于一个用户的全部内容（JSON），并记入审计。"
        "Export all that is held about one user as JSON, and tell the trail."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="UUID")
        parser.add_argument("--reason", required=True, help="kept in the audit trail")
        parser.add_argument(
            "--out", required=True, metavar="FILE", help="a new file, readable for its owner alone"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user_id, reason = user_argument(options["user"]), options["reason"].strip()
        if not reason:
            raise CommandError("--reason 不能为空 / must not be empty")
        with new_file(Path(options["out"])) as file:
            counts = write(file, user_id)
            user_export_record(
                user_id=user_id, actor=operator_actor(), reason=reason, counts=counts
            )
        for table, count in counts.items():
            self.stdout.write(f"{table}: {count}")


def write(file: TextIO, user_id: UUID) -> Counter[str]:
    """One object with a list of rows; how many of each table."""
    counts: Counter[str] = Counter()
    begin = {"user_id": str(user_id), "made_at": clock.utc_text(clock.now())}
    file.write(json.dumps(begin)[:-1] + ', "rows": [')
    for table, row in user_data(user_id):
        text = json.dumps({"table": table, **row}, cls=DjangoJSONEncoder, ensure_ascii=False)
        file.write(("," if counts else "") + "\n" + text)
        counts[table] += 1
    file.write("\n]}\n")
    return counts


@contextmanager
def new_file(path: Path) -> Iterator[TextIO]:
    """Whole or not at all; nobody else's, and never in the place of another."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"--out {path}: {error.strerror}") from error
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            yield file
    except BaseException:
        path.unlink()
        raise
