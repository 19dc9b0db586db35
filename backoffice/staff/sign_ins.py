"""The log of sign-ins (登录记录), for auditors and administrators."""

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from backoffice.site.bases import (
    DayRangeFilter,
    ReadOnlyAdmin,
    admin_link,
    column,
    moment,
    section,
    state,
)
from backoffice.site.display import BAD, EMPTY, GOOD, NEUTRAL, WAITING, code_text
from backoffice.site.filters import one_of
from backoffice.staff.words import cause_text
from tcmpay.accounts.models import SignIn, SignInOutcome

TONES: dict[str, str] = {
    SignInOutcome.SUCCEEDED: GOOD,
    SignInOutcome.FAILED: WAITING,
    SignInOutcome.LOCKED: BAD,
    SignInOutcome.SIGNED_OUT: NEUTRAL,
    SignInOutcome.ENDED: NEUTRAL,
}


class SignInAdmin(ReadOnlyAdmin):
    """Who signed in, tried to, or was locked out: when, from where, with what."""

    search_help_text = _("用户名、员工编号、网络地址或请求编号")
    list_display = ("time", "result", "cause_shown", "person", "address", "user_agent")
    list_display_links = ("time",)
    list_filter = (
        ("created_at", DayRangeFilter),
        one_of("outcome", _("结果"), lambda: SignInOutcome.choices),
    )
    ordering = ("-created_at", "-id")
    fieldsets = (
        section(
            None,
            ("time", "result"),
            ("person", "cause_shown"),
            ("address", "request_id"),
            "user_agent",
        ),
    )

    time = moment("created_at", _("时间"))
    result = state("outcome", _("结果"), SignInOutcome, TONES)

    def search_lookups(self, term: str) -> Iterable[Q]:
        return (
            Q(pk=term),
            Q(username=term),
            Q(user_id=term.lower()),
            Q(address=term),
            Q(request_id=term),
        )

    cause_shown = column("", _("说明"), lambda row: cause_text(row) or EMPTY)

    @admin.display(description=_("用户名"))
    def person(self, row: SignIn) -> str:
        if row.user_id is None:
            return code_text(row.username)
        return admin_link("accounts_staffuser", row.user_id, row.username)
