"""Whom the product tells when something needs a person, and how; read from the environment."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from urllib.parse import urlsplit

from tcmpay.environment import Environment, Secrets

CHANNELS = ("email", "webhook", "wecom", "dingtalk", "feishu")
SMTP_SCHEMES = frozenset({"smtp", "smtps", "smtp+starttls"})
_SIGNING_SECRET = re.compile(r"whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2,3}={1,2})?")
_SPAN = re.compile(r"([0-9]{2}:[0-9]{2})-([0-9]{2}:[0-9]{2})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notify:
    """The channels' addresses and secrets; empty: not set up."""

    email_to: tuple[str, ...] = ()
    email_from: str = ""
    smtp_url: str = ""
    webhook_url: str = ""
    webhook_secret: str = ""
    wecom_url: str = ""
    dingtalk_url: str = ""
    dingtalk_secret: str = ""
    feishu_url: str = ""
    feishu_secret: str = ""

    def __repr__(self) -> str:
        return f"<channels {', '.join(self.channels)}>"  # addresses of robots are secrets

    @property
    def channels(self) -> list[str]:
        ready = {
            "email": bool(self.email_to and self.smtp_url),
            "webhook": bool(self.webhook_url),
            "wecom": bool(self.wecom_url),
            "dingtalk": bool(self.dingtalk_url),
            "feishu": bool(self.feishu_url),
        }
        return [name for name in CHANNELS if ready[name]]


@dataclass(frozen=True, slots=True)
class Span:
    """A part of each day in Asia/Shanghai; over midnight when it ends before it begins."""

    begins: time
    ends: time

    def holds(self, moment: time) -> bool:
        if self.begins <= self.ends:
            return self.begins <= moment < self.ends
        return moment >= self.begins or moment < self.ends

    def began_before(self, moment: datetime) -> datetime:
        """When the newest one up to ``moment``, a time in Asia/Shanghai, began."""
        today = datetime.combine(moment.date(), self.begins, moment.tzinfo)
        return today if today <= moment else today - timedelta(days=1)

    @property
    def minutes(self) -> int:
        begins, ends = (60 * one.hour + one.minute for one in (self.begins, self.ends))
        return ends - begins if begins <= ends else ends - begins + 24 * 60


def read_notify(env: Environment, secrets: Secrets, *, debug: bool) -> Notify:
    notify = Notify(
        email_to=tuple(env.list("NOTIFY_EMAIL_TO", default=[])),
        email_from=env.str("NOTIFY_EMAIL_FROM", default=""),
        smtp_url=secrets.optional("NOTIFY_SMTP_URL"),
        webhook_url=secrets.optional("NOTIFY_WEBHOOK_URL"),
        webhook_secret=secrets.optional("NOTIFY_WEBHOOK_SECRET"),
        wecom_url=secrets.optional("NOTIFY_WECOM_URL"),
        dingtalk_url=secrets.optional("NOTIFY_DINGTALK_URL"),
        dingtalk_secret=secrets.optional("NOTIFY_DINGTALK_SECRET"),
        feishu_url=secrets.optional("NOTIFY_FEISHU_URL"),
        feishu_secret=secrets.optional("NOTIFY_FEISHU_SECRET"),
    )
    for name in ("webhook", "wecom", "dingtalk", "feishu"):
        address = getattr(notify, f"{name}_url")
        if address and not is_http_address(address, debug=debug):
            secrets.complain(f"NOTIFY_{name.upper()}_URL must begin with https://")
    if notify.webhook_secret and not _SIGNING_SECRET.fullmatch(notify.webhook_secret):
        secrets.complain("NOTIFY_WEBHOOK_SECRET must be whsec_ and base64 of 24 to 64 random bytes")
    for name in ("webhook", "dingtalk", "feishu"):
        if getattr(notify, f"{name}_secret") and not getattr(notify, f"{name}_url"):
            secrets.complain(f"NOTIFY_{name.upper()}_SECRET needs NOTIFY_{name.upper()}_URL")
    if not all("@" in one for one in (*notify.email_to, notify.email_from) if one):
        secrets.complain("NOTIFY_EMAIL_TO and NOTIFY_EMAIL_FROM must be e-mail addresses")
    if len({bool(notify.email_to), bool(notify.email_from), bool(notify.smtp_url)}) > 1:
        secrets.complain("NOTIFY_EMAIL_TO, NOTIFY_EMAIL_FROM and NOTIFY_SMTP_URL go together")
    if notify.smtp_url and not _is_mail_server(notify.smtp_url):
        secrets.complain(
            "NOTIFY_SMTP_URL must be such as smtps://USER:PASSWORD@HOST:465 or"
            " smtp+starttls://USER:PASSWORD@HOST:587; smtp:// takes no password"
        )
    return notify


@dataclass(frozen=True, slots=True)
class Alarming:
    """How our own alarms are told. ``repeat_minutes`` 0: each once."""

    quiet_hours: Span | None
    warning_channels: tuple[str, ...]
    repeat_minutes: int


def read_alarming(env: Environment, secrets: Secrets) -> Alarming:
    channels = tuple(env.list("ALARM_WARNING_CHANNELS", default=list(CHANNELS)))
    if set(channels) - set(CHANNELS):
        secrets.complain("ALARM_WARNING_CHANNELS must be some of " + ", ".join(CHANNELS))
    minutes = env.int("ALARM_REPEAT_MINUTES", default=240)
    if not 0 <= minutes <= 7 * 24 * 60:
        secrets.complain("ALARM_REPEAT_MINUTES must lie between 0 (once) and 10080 (a week)")
    hours = env.str("ALARM_QUIET_HOURS", default="22:00-08:00")
    return Alarming(_span(secrets, "ALARM_QUIET_HOURS", hours), channels, minutes)


@dataclass(frozen=True, slots=True)
class Liveness:
    """What should go on. 0: not watched."""

    order_minutes: int
    opening_hours: Span | None
    success_min_percent: int


def read_liveness(env: Environment, secrets: Secrets) -> Liveness:
    minutes = env.int("LIVENESS_ORDER_MINUTES", default=0)
    if not 0 <= minutes <= 24 * 60:
        secrets.complain("LIVENESS_ORDER_MINUTES must lie between 0 (off) and 1440")
    percent = env.int("GATEWAY_SUCCESS_MIN_PERCENT", default=0)
    if not 0 <= percent <= 100:
        secrets.complain("GATEWAY_SUCCESS_MIN_PERCENT must lie between 0 (off) and 100")
    hours = env.str("LIVENESS_OPENING_HOURS", default="08:00-20:00")
    span = _span(secrets, "LIVENESS_OPENING_HOURS", hours)
    if span and minutes > span.minutes:
        secrets.complain("LIVENESS_ORDER_MINUTES is longer than LIVENESS_OPENING_HOURS")
    return Liveness(minutes, span, percent)


def _span(secrets: Secrets, name: str, text: str) -> Span | None:
    """A part of the day as text; None: ``off``."""
    if text == "off":
        return None
    try:
        found = _SPAN.fullmatch(text)
        if found is None:
            raise ValueError
        return Span(time.fromisoformat(found[1]), time.fromisoformat(found[2]))
    except ValueError:
        secrets.complain(f"{name} must be such as 22:00-08:00, or off")
        return None


def read_watching(
    env: Environment, secrets: Secrets, *, debug: bool
) -> tuple[Notify, Alarming, Liveness]:
    notify = read_notify(env, secrets, debug=debug)
    return notify, read_alarming(env, secrets), read_liveness(env, secrets)


def is_http_address(address: str, *, debug: bool) -> bool:
    return address.startswith(("https://", "http://") if debug else "https://")


def _is_mail_server(address: str) -> bool:
    try:
        parts = urlsplit(address)
        _port = parts.port
    except ValueError:
        return False
    is_open = parts.scheme == "smtp" and parts.password is not None
    return parts.scheme in SMTP_SCHEMES and bool(parts.hostname) and not is_open
