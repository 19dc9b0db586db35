import json
from argparse import ArgumentParser
from datetime import date
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from reconciliation.models import DailyClose
from reconciliation.services.closing import close_propose, close_sign
from reconciliation.stand import DayStand, day_stand
from reconciliation.states import DayState
from tcmpay.accounts.models import StaffUser
from tcmpay.common.errors import DomainError

SUMS = ("receipts", "refunds", "fees", "net")


class Command(BaseCommand):
    help = (
        "一天能否日结、还差什么；给出两名员工时由他们日结。"
        "What stands in the way of closing a business day; with two of the staff, close it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("day", metavar="DATE", help="business day, e.g. 2026-11-24")
        parser.add_argument("--by", metavar="STAFF", help="username of who puts it forward")
        parser.add_argument("--second", metavar="STAFF", help="username of who signs it")
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            day = date.fromisoformat(options["day"])
        except ValueError as error:
            text = f"DATE 应为日期，例如 2026-11-24 / a day: {options['day']}"
            raise CommandError(text) from error
        if (options["by"] is None) != (options["second"] is None):
            raise CommandError("--by 与 --second 必须同时给出 / go together")
        stand, refusal = day_stand(day), ""
        if options["by"] is not None and stand.state is DayState.READY:
            refusal = self._close(day, options["by"], options["second"])
            stand = day_stand(day)
        self._print(stand, refusal, is_json=options["json"])
        if stand.state is DayState.OPEN or refusal:
            raise SystemExit(1)

    def _close(self, day: date, by: str, second: str) -> str:
        """Close it; why not, or ""."""
        first_person = _person(by, "reconciliation.propose_close")
        second_person = _person(second, "reconciliation.sign_close")
        waiting = DailyClose.objects.filter(waiting_day=day).first()
        try:
            if waiting is None or waiting.proposed_by != first_person.id:
                waiting = close_propose(actor=first_person.as_actor(), day=day)
            close_sign(actor=second_person.as_actor(), close_id=waiting.id)
        except DomainError as error:
            return str(error.text)
        return ""

    def _print(self, stand: DayStand, refusal: str, *, is_json: bool) -> None:
        told = day_told(stand)
        if is_json:
            blocks = [{"code": block.code, "text": block.text} for block in stand.blocks]
            self.stdout.write(json.dumps(told | {"blocks": blocks, "refused": refusal or None}))
            return
        self.stdout.write(f"{told['date']} {stand.state.label}")
        for name in (*SUMS, "balance_opening", "balance_closing", "verified_share", "funds"):
            self.stdout.write(f"  {name}: {told[name]}")
        for block in stand.blocks:
            self.stdout.write(f"- {block.text}")
        if refusal:
            self.stdout.write(f"- {refusal}")
        if stand.close is not None:
            self.stdout.write(f"  {told['by']}, {told['second']}: {told['signature']}")


def day_told(stand: DayStand) -> dict[str, Any]:
    """The day as ``close_day --json`` prints it (CONTRACT 8): amounts as texts in yuan, people by
    their usernames."""
    figures, close = stand.figures, stand.close
    by_method = {
        method: {name: sums[name] for name in SUMS} for method, sums in figures["by_method"].items()
    }
    differences = figures["differences"]
    return {
        "date": stand.day.isoformat(),
        "state": str(stand.state),
        **{name: figures[name] for name in SUMS},
        "by_method": by_method,
        "expected": figures["expected"],
        "surplus_in": figures["surplus_in"],
        "surplus_out": figures["surplus_out"],
        "balance_opening": figures["balance"]["opening"],
        "balance_closing": figures["balance"]["closing"],
        "open_differences": differences["open"] + differences["doubtful"],
        "verified_share": figures["verified_share"],
        # What was signed before these were told has neither.
        "funds": figures.get("funds"),
        "fees_rounding": figures.get("fees_rounding"),
        "version": close.version if close else None,
        "by": _username(close.proposed_by) if close else None,
        "second": _username(close.decided_by) if close else None,
        "signature": close.signature if close else None,
    }


def _person(username: str, right: str) -> StaffUser:
    """Raises CommandError: no such active person, or one who may not."""
    person: StaffUser | None = StaffUser.objects.filter(username=username, is_active=True).first()
    if person is None:
        raise CommandError(f"没有这名员工，或已停用 / no such active staff: {username}")
    if not person.has_perm(right):
        raise CommandError(f"没有权限 {right} / has no right to it: {username}")
    return person


def _username(person_id: UUID | None) -> str:
    name = StaffUser.objects.filter(pk=person_id).values_list("username", flat=True).first()
    return name or str(person_id)
