import socket
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from backoffice.ops.alarms import ALARMS, beyond
from backoffice.ops.figures import figures
from backoffice.ops.rules import rule_tests_text, rules_text
from backoffice.ops.watch import alarms_watch
from tcmpay.common import clock
from tcmpay.notifications.channels import NotSent, channels_set_up, send
from tcmpay.notifications.models import Channel, Notification
from tcmpay.notifications.services import notifications_send


class Command(BaseCommand):
    help = (
        "报警：列出、判断并发送、试发、写出 Prometheus 的规则。"
        "List the alarms, judge and tell them, send a test, write Prometheus' rules."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parts = ("list", "watch", "test-send", "unit-failed", "rules", "rule-tests")
        parser.add_argument("part", choices=parts)
        parser.add_argument(
            "--channel", choices=Channel.values, help="test-send: over this channel alone"
        )
        parser.add_argument("--unit", default="", help="unit-failed: systemd's name of it")

    def handle(self, *args: Any, **options: Any) -> None:
        texts = {"rules": rules_text, "rule-tests": rule_tests_text}
        if options["part"] in texts:
            self.stdout.write(texts[options["part"]](), ending="")
        elif options["part"] == "list":
            self._list()
        elif options["part"] == "watch":
            told, sent = alarms_watch(), notifications_send()
            self.stdout.write(f"told {told}, sent {sent}")
        elif options["part"] == "unit-failed":
            names = {"unit": options["unit"], "host": socket.gethostname()}
            title = _("%(host)s 上的 %(unit)s 失败了") % names
            text = _("原因在那台主机的 journalctl -u %(unit)s") % names
            self._send(title, text, "critical")
        else:
            text = _("这是 manage.py alarms test-send 发出的测试消息，不需要处理。")
            self._send(_("测试"), text, "test", options["channel"])

    def _send(self, title: str, text: str, severity: str, only: str | None = None) -> None:
        """At once and once, without the database: whoever tries it wants to see what comes of it,
        and the database may be what failed."""
        channels = [one for one in channels_set_up() if only in (None, one)]
        failed = not channels
        if not channels:
            self.stderr.write(_("没有设置渠道（NOTIFY_…）"))
        for channel in channels:
            facts = {"severity": severity, "alarms": []}
            message = Notification(channel=channel, title=title, text=text, facts=facts)
            message.created_at = clock.now()
            try:
                send(message)
            except NotSent as problem:
                failed = True
                self.stderr.write(f"{channel}: {problem}")
            else:
                self.stdout.write(f"{channel}: ok")
        if failed:
            raise SystemExit(1)

    def _list(self) -> None:
        found: dict[str, list[str]] = {}
        for one in beyond(ALARMS, figures()):
            found.setdefault(one.alarm.name, []).append(f"{one.key}={one.value:g}")
        for alarm in ALARMS:
            state = " ".join(found.get(alarm.name, ())) or "-"
            self.stdout.write(f"{alarm.severity:<8} {alarm.name:<24} {state}  {alarm.title}")
