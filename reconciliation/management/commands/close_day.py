import json
from argparse import ArgumentParser
from datetime import date
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from reconciliation.closing_errors import FiguresChanged, OwnClose
from reconciliation.models import DailyClose
from reconciliation.services.closing import close_propose, close_sign, close_withdraw
from reconciliation.stand import DayStand, day_stand
from reconciliation.states import CloseStatus, DayState, FundsLeg
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Actor
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
        stand, refusal = day_stand(day), ""
        if options["second"] is None and options["by"] is not None:
            raise CommandError("--by 须与 --second 一起给出 / needs --second")
        if options["second"] is not None and options["by"] is None and stand.waiting is None:
            raise CommandError("没有等待签字的日结，须给出 --by / nothing waits: give --by too")
        if options["second"] is not None and stand.state is DayState.READY:
            refusal = self._close(day, options["by"], options["second"], stand.waiting)
            stand = day_stand(day)
        self._print(stand, refusal, is_json=options["json"])
        if stand.state is DayState.OPEN or refusal:
            raise SystemExit(1)

    def _close(self, day: date, by: str | None, second: str, waiting: DailyClose | None) -> str:
        """Close it; why not, or "". What waits already is signed, whoever put it forward; what was
        put forward here and not signed does not stay waiting."""
        first_person = _person(by, "reconciliation.propose_close") if by else None
        actor = _person(second, "reconciliation.sign_close").as_actor()
        if first_person is not None and first_person.id == actor.id:
            return str(OwnClose.message)
        try:
            if waiting is not None:
                try:
                    close_sign(actor=actor, close_id=waiting.id)
                except FiguresChanged:
                    if first_person is None:
                        raise
                else:
                    return ""
            if first_person is not None:
                self._propose_and_sign(day, first_person.as_actor(), actor)
        except DomainError as error:
            return str(error.text)
        return ""

    def _propose_and_sign(self, day: date, first: Actor, second: Actor) -> None:
        proposed = close_propose(actor=first, day=day)
        try:
            close_sign(actor=second, close_id=proposed.id)
        except DomainError as error:
            close_withdraw(actor=first, close_id=proposed.id, notes=str(error.text))
            raise

    def _print(self, stand: DayStand, refusal: str, *, is_json: bool) -> None:
        told = day_told(stand)
        if is_json:
            blocks = [{"code": block.code, "text": block.text} for block in stand.blocks]
            self.stdout.write(json.dumps(told | {"blocks": blocks, "refused": refusal or None}))
            return
        label = stand.state.label if stand.waiting is None else CloseStatus.PENDING.label
        self.stdout.write(f"{told['date']} {label}")
        if stand.waiting is not None:
            by = _username(stand.waiting.proposed_by)
            self.stdout.write("  " + _("%(by)s 已提交，等待另一人签字") % {"by": by})
        funds = FundsLeg(told["funds"]).label if told["funds"] else None
        for name, value in (
            (_("收款"), told["receipts"]),
            (_("退款"), told["refunds"]),
            (_("手续费"), told["fees"]),
            (_("净额"), told["net"]),
            (_("期初余额"), told["balance_opening"]),
            (_("期末余额"), told["balance_closing"]),
            (_("已核对"), told["verified_share"]),
            (_("资金"), funds),
        ):
            self.stdout.write(f"  {name}: {value or '-'}")
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
        "coupons": figures.get("coupons"),
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
