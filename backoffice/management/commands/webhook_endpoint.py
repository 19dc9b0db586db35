"""``webhook_endpoint``: the platform's endpoints by hand, from the machine."""

import json
from argparse import ArgumentTypeError
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from backoffice.webhooks.numbers import objects_numbered
from tcmpay.common.api.presenters import present
from tcmpay.common.errors import DomainError
from tcmpay.common.operator import operator_actor
from webhooks.models import WebhookEndpoint, WebhookTry
from webhooks.selectors import endpoints_listed
from webhooks.services.endpoints import (
    OVERLAP,
    OVERLAP_MAX,
    NewSecret,
    endpoint_add,
    endpoint_disable,
    endpoint_enable,
    endpoint_rotate,
)
from webhooks.services.pinging import endpoint_ping
from webhooks.services.replay import Which, endpoint_replay


class Command(BaseCommand):
    help = (
        "管理事件推送地址；add 和 rotate 只在这一次显示密钥。"
        "The endpoints that events are sent to; add and rotate show the secret this once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)

        def action(name: str, text: str, *, of_one: bool = True) -> CommandParser:
            one: CommandParser = actions.add_parser(name, help=text)
            one.add_argument("--json", action="store_true", help="machine-readable output")
            if of_one:
                one.add_argument("id", help="the endpoint's id")
            return one

        add = action("add", "send events to URL from now on", of_one=False)
        add.add_argument("url")
        add.add_argument("--types", default="", help="a,b; without: all")
        action("list", "all endpoints and how they stand", of_one=False)
        rotate = action("rotate", "a new secret")
        rotate.add_argument(
            "--overlap-hours",
            type=_overlap,
            dest="overlap",
            default=OVERLAP,
            help="how long the one of now signs beside it; 0: no former one signs any more",
        )
        for name, text in (
            ("disable", "send it nothing more; what happens meanwhile is kept"),
            ("enable", "send to it again, beginning with what it has not got"),
        ):
            action(name, text).add_argument("--reason", default="")
        action("ping", "send a test message now; exit 1 unless it was taken")
        replay = action("replay", "send events again")
        replay.add_argument("--after", type=_sequence, default=None, help="a sequence")
        replay.add_argument("--since", help="a moment, e.g. 2026-11-30T08:00:00Z")
        replay.add_argument("--until", help="a moment")
        replay.add_argument("--types", default="", help="a,b; without: all it subscribed to")
        replay.add_argument("--number", action="append", default=[], help="ORD… or RFD…")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['action']}")(options)
        except DomainError as error:
            raise CommandError(f"{error.text} ({error})") from error

    def _add(self, options: dict[str, Any]) -> None:
        types = _several(options["types"])
        self._secret(endpoint_add(actor=operator_actor(), url=options["url"], types=types), options)

    def _rotate(self, options: dict[str, Any]) -> None:
        made = endpoint_rotate(
            actor=operator_actor(), endpoint_id=_id(options), overlap=options["overlap"]
        )
        self._secret(made, options)

    def _secret(self, made: NewSecret, options: dict[str, Any]) -> None:
        facts = {"id": str(made.endpoint.id), "url": made.endpoint.url, "secret": made.secret}
        if options["json"]:
            self.stdout.write(json.dumps(facts))
            return
        self.stdout.write("\n".join(f"{name}: {value}" for name, value in facts.items()))
        self.stdout.write(_("密钥只显示这一次，请马上存入接收方的配置"))

    def _list(self, options: dict[str, Any]) -> None:
        rows = [_facts(endpoint) for endpoint in endpoints_listed()]
        if options["json"]:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            types = ",".join(row["types"]) or "*"
            shown = (row["id"], row["status"], row["url"], types, f"pending {row['pending']}")
            self.stdout.write("  ".join(shown))

    def _disable(self, options: dict[str, Any]) -> None:
        self._changed(
            endpoint_disable(
                actor=operator_actor(), endpoint_id=_id(options), reason=options["reason"]
            ),
            options,
        )

    def _enable(self, options: dict[str, Any]) -> None:
        self._changed(
            endpoint_enable(
                actor=operator_actor(), endpoint_id=_id(options), reason=options["reason"]
            ),
            options,
        )

    def _changed(self, endpoint: WebhookEndpoint, options: dict[str, Any]) -> None:
        facts = {"id": str(endpoint.id), "url": endpoint.url, "status": endpoint.status}
        self.stdout.write(json.dumps(facts) if options["json"] else "  ".join(facts.values()))

    def _ping(self, options: dict[str, Any]) -> None:
        tried = endpoint_ping(actor=operator_actor(), endpoint_id=_id(options))
        facts = {
            "delivered": tried.is_success,
            "status": tried.http_status,
            "problem": str(tried.problem),
            "ms": tried.took_ms,
            "answer": tried.answer,
        }
        if options["json"]:
            self.stdout.write(json.dumps(facts, ensure_ascii=False))
        else:
            self.stdout.write(f"{_verdict(tried)}  {tried.took_ms} ms\n{tried.answer}".rstrip())
        if not tried.is_success:
            raise CommandError(_("接收方没有以 2xx 应答"))

    def _replay(self, options: dict[str, Any]) -> None:
        named = (options["since"], options["until"], options["number"], options["types"])
        if options["after"] is None and not any(named):
            raise CommandError("--after, --since, --until, --types, --number")
        which = Which(
            after=options["after"] or 0,
            since=_moment(options["since"], "--since"),
            until=_moment(options["until"], "--until"),
            types=_several(options["types"]),
            objects=_objects(options["number"]) if options["number"] else None,
        )
        count = endpoint_replay(actor=operator_actor(), endpoint_id=_id(options), which=which)
        if options["json"]:
            self.stdout.write(json.dumps({"id": options["id"], "events": count}))
        else:
            self.stdout.write(_("已安排重新推送 %(count)s 个事件") % {"count": count})


def _facts(endpoint: Any) -> dict[str, Any]:
    names = ("id", "url", "types", "status", "disabled_because", "disabled_at", "failing_since")
    more = ("failures", "succeeded_at", "former_until", "reached", "pending", "given_up")
    facts = {name: present(getattr(endpoint, name)) for name in (*names, *more, "created_at")}
    return facts


def _verdict(tried: WebhookTry) -> str:
    if tried.http_status is not None:
        return f"HTTP {tried.http_status}"
    return str(tried.get_problem_display())


def _id(options: dict[str, Any]) -> UUID:
    try:
        return UUID(options["id"])
    except ValueError as error:
        raise CommandError(f"不是有效的 UUID / not a UUID: {options['id']}") from error


def _overlap(text: str) -> timedelta:
    most = OVERLAP_MAX.total_seconds() / 3600
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= most:  # nor is it NaN
        raise ArgumentTypeError(f"0 … {most:.0f}")
    return timedelta(hours=hours)


def _sequence(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentTypeError("0 …")
    return int(text)


def _several(text: str) -> list[str]:
    return [part for part in text.replace(" ", "").split(",") if part]


def _moment(text: str | None, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = parse_datetime(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise CommandError(f"{name}: 2026-11-30T08:00:00Z")
    return moment


def _objects(numbers: Sequence[str]) -> list[UUID]:
    found = objects_numbered(numbers)
    if not found:
        raise CommandError(_("没有这些编号：%(numbers)s") % {"numbers": ", ".join(numbers)})
    return found
