"""Dealing with differences, one or several at once: a preview, one confirmation, a result each."""

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from backoffice.cases.actions import CLOSE_PERMISSION, DESK_ACTIONS, offered
from backoffice.cases.desk import somebody_was_faster
from backoffice.reconciliation.day import (
    SHOWN_MAX,
    Day,
    Line,
    Remedy,
    lines_of,
    remedy_named,
    with_links,
)
from backoffice.reconciliation.words import DAY_PAGE, day_url, read_day
from backoffice.site.bases import actor_of, ensure_may, page
from backoffice.site.forms import ReasonFormField
from payments.errors import ExceptionClosed, ExceptionTaken
from reconciliation.models import Difference
from tcmpay.common.errors import DomainError
from tcmpay.common.fields import as_uuid_or_text

logger = logging.getLogger(__name__)

# As many as a day's page shows; their names are posted, an address has no room for them.
ROWS_MAX = SHOWN_MAX
# A gateway that does not answer holds up each question; whoever waits is told what is left.
SECONDS_MAX = 20.0
# Each row by what it needs first; any other name of an action is that one for all of them.
OWN = "own"
RESULTS = "mended_differences"


class MendForm(forms.Form):
    reason = ReasonFormField(
        label=gettext_lazy("说明"),
        error_messages={"required": gettext_lazy("请写明核对结果，它会记入每一项差错。")},
    )


@dataclass(frozen=True)
class Step:
    """What would be done about one difference; ``remedy`` is None where that is nothing."""

    line: Line
    remedy: Remedy | None
    hindrance: str = ""

    @property
    def key(self) -> str:
        return replace(self.line, remedy=self.remedy).seen


@dataclass(frozen=True)
class Result:
    """What became of one, as the day's page tells it next."""

    number: str
    kind: str
    action: str
    text: str
    is_done: bool
    case: str


@require_http_methods(["GET", "HEAD", "POST"])
def mend_view(request: HttpRequest, day: str, model_admin: Any) -> HttpResponse:
    """What would be done about the selected differences; a POST of what was seen does it."""
    ensure_may(request, CLOSE_PERMISSION)
    shown = read_day(day)
    if shown is None:
        return HttpResponseRedirect(reverse(f"admin:{DAY_PAGE}_changelist"))
    sent = request.POST if request.method == "POST" else request.GET
    posted = sent if request.method == "POST" and "seen" in sent else None
    keys = list(dict.fromkeys(sent.getlist("difference")))
    if "every" in sent:
        lines = Day(shown, request.user).for_many
    else:
        lines = _selected(shown, keys[:ROWS_MAX], request.user)
    if not lines:
        messages.warning(request, _("请先勾选要处理的差异。"))
        return HttpResponseRedirect(day_url(shown))
    chosen = sent.get("action", OWN)
    steps = [_step(line, chosen, request.user) for line in lines]
    form = MendForm(posted)
    # Whoever confirms a write-off says yes to what another one wrote.
    form.fields["reason"].required = any(
        step.remedy.action.needs_reason for step in steps if step.remedy is not None
    )
    if posted is not None and form.is_valid():
        results = _do(request, steps, set(posted.getlist("seen")), form.cleaned_data["reason"])
        rows = [asdict(result) for result in results]
        request.session[RESULTS] = {"day": shown.isoformat(), "rows": rows}
        return HttpResponseRedirect(f"{day_url(shown)}#results")
    able = [step for step in steps if step.remedy is not None]
    context = {
        "title": _("处理差异"),
        "original": _("处理差异"),  # the last step of the breadcrumbs
        "day": shown,
        "day_url": day_url(shown),
        "steps": steps,
        "able": able,
        "choices": _choices(lines, request.user),
        "chosen": chosen,
        "left": max(len(keys) - ROWS_MAX, 0),
        "rows_max": ROWS_MAX,
        "form": form,
    }
    return page(request, model_admin, "reconciliation/mend.html", context)


def results_take(request: HttpRequest, day: date) -> list[dict[str, Any]]:
    """What became of those that were last dealt with, told once, on their day's page."""
    kept = request.session.get(RESULTS)
    if not kept or kept.get("day") != day.isoformat():
        return []
    del request.session[RESULTS]
    return list(kept["rows"])


def _selected(day: date, keys: Sequence[str], reader: Any) -> list[Line]:
    wanted = [as_uuid_or_text(key) for key in keys]
    rows = with_links(Difference.objects.filter(pk__in=wanted, day__day=day))
    return lines_of(list(rows.order_by("found_at", "id")), reader)


def _step(line: Line, chosen: str, reader: Any) -> Step:
    if line.is_ended:
        return Step(line, None, _("已处理"))
    remedy = line.remedy if chosen == OWN else _named(line, chosen, reader)
    if remedy is None:
        return Step(line, None, line.hindrance or _("没有您可以做的；详见差错页"))
    if remedy.action.needs_order:
        return Step(line, None, _("要逐项选择订单，请在差错页处理；或在上面选另一种办法"))
    return Step(line, remedy)


def _named(line: Line, name: str, reader: Any) -> Remedy | None:
    if line.remedy is not None and line.remedy.name == name:
        return line.remedy
    case = line.row.case
    if case is None or all(name != code for code, _action in offered(case, reader)):
        return None
    return remedy_named(name, case)


def _choices(lines: Iterable[Line], reader: Any) -> list[tuple[str, Any]]:
    """The actions that at least one of the rows offers, besides each one's own."""
    names = {
        name
        for line in lines
        if line.row.case is not None and not line.is_ended
        for name, action in offered(line.row.case, reader)
        if not action.needs_order
    }
    ordered = [name for name in DESK_ACTIONS if name in names]
    return [(OWN, _("各自的办法"))] + [(name, DESK_ACTIONS[name].title) for name in ordered]


def _do(
    request: HttpRequest, steps: Iterable[Step], seen: set[str], reason: str
) -> Iterable[Result]:
    until = time.monotonic() + SECONDS_MAX
    for step in steps:
        is_as_shown = step.key in seen
        if step.remedy is None:
            if is_as_shown:
                continue  # the preview said that nothing would be done
            text, is_done = step.hindrance, False
        elif not is_as_shown:
            text, is_done = _("预览之后情况有变化，没有执行。"), False
        elif time.monotonic() > until:
            text, is_done = _("网关答复太慢，这一项没有执行，请再试一次。"), False
        else:
            text, is_done = _run(request, step.remedy, {"reason": reason})
        row = step.line.row
        yield Result(
            number=step.line.number,
            kind=str(row.get_difference_type_display()),
            action=str(step.remedy.title) if step.remedy else "",
            text=text,
            is_done=is_done,
            case=str(row.case_id or ""),
        )


def _run(request: HttpRequest, remedy: Remedy, fields: Mapping[str, Any]) -> tuple[str, bool]:
    try:
        return remedy.action.run(actor_of(request), remedy.case.pk, fields), True
    except (ExceptionTaken, ExceptionClosed):
        return somebody_was_faster(remedy.case), False
    except DomainError as error:
        return _("没有执行：%(reason)s。") % {"reason": error.text}, False
    except Exception:
        # What one row meets must not take the results of the others away.
        logger.exception("difference_mending_failed", extra={"case": str(remedy.case.pk)})
        return _("系统错误，没有执行；请在差错页再试。"), False
