"""The pages of prices: the calendar, a service with its history, and changing one in two steps.

A change is previewed before it is saved: what will be charged from which day, which period ends,
and whether a second person has to confirm it.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from backoffice.prices.forms import PriceForm, initial_of
from backoffice.prices.outlook import (
    after_plan,
    calendar,
    changes_of,
    ends_in_nothing,
    outlook,
)
from backoffice.site.bases import actor_of, admin_url, ensure_may, own_urls, page
from backoffice.trail.pages import actor_text
from backoffice.trail.words import action_name
from config.models import PriceChangeRequest, PriceConfig
from config.prices.errors import PricesChangedMeanwhile
from config.prices.guard import MEASURED_DAYS, guarded_plan
from config.prices.periods import charged_on
from config.prices.plan import PriceChange, amount_of, signed_percent
from config.prices.selectors import periods_digest, price_history, price_periods
from config.prices.services import (
    is_beyond,
    price_change,
)
from tcmpay.common import clock
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.common.fields import as_uuid_or_text

VIEW, ADD, CHANGE = (f"config.{verb}_priceconfig" for verb in ("view", "add", "change"))
CONFIRM = "config.confirm_pricechange"
PAGE = "config_priceconfig"
REQUEST_PAGE = "config_pricechangerequest"


# --- looking ------------------------------------------------------------------------------------


def calendar_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """What each service costs, month by month."""
    ensure_may(request, VIEW)
    context = {
        "title": _("价格日历"),
        "calendar": calendar(request.GET.get("month", "")),
        "may_add": request.user.has_perm(ADD),
    }
    return page(request, model_admin, "prices/calendar.html", context)


def service_view(request: HttpRequest, service_type: str, model_admin: Any) -> HttpResponse:
    """One service: what is charged, all its periods, and everything that was done to them."""
    ensure_may(request, VIEW)
    periods = price_periods(service_type)
    if not periods:
        messages.warning(request, _("没有这个服务的价格。"))
        return HttpResponseRedirect(reverse(f"admin:{PAGE}_changelist"))
    today = clock.today()
    running = charged_on(periods, today)
    context = {
        "title": periods[-1].service_name,
        "service_type": service_type,
        "running": running,
        "amount": amount_of(running) if running else None,
        "lines": outlook(periods, periods).before,
        "periods": [
            {
                "row": period,
                "is_running": period is running,
                "is_ended": period.expiry_date is not None and period.expiry_date < today,
                "is_future": period.effective_date > today,
            }
            for period in reversed(periods)
        ],
        "events": [
            {
                "event": event,
                "action": action_name(event),
                "who": actor_text(event),
                "changes": changes_of(event),
            }
            for event in price_history(service_type)[:200]
        ],
        "waiting": PriceChangeRequest.objects.filter(waiting_service=service_type).first(),
        "may_change": request.user.has_perm(CHANGE),
    }
    return page(request, model_admin, "prices/service.html", context)


# --- changing -----------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def add_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """A price for a service that has none yet."""
    ensure_may(request, ADD)
    initial = {"is_active": True, "effective_date": clock.today()}
    return _edit(request, model_admin, None, initial, _("新增服务价格"))


@require_http_methods(["GET", "HEAD", "POST"])
def change_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Change a period, or begin a new one after it by a later date."""
    period = _period_for(object_id)
    if period is None:
        return HttpResponseRedirect(reverse(f"admin:{PAGE}_changelist"))
    if not request.user.has_perm(CHANGE):
        if request.method == "POST":
            raise PermissionDenied
        return service_view(request, period.service_type, model_admin)
    title = _("修改价格：%(name)s") % {"name": period.service_name}
    return _edit(request, model_admin, period, initial_of(period), title)


@require_http_methods(["GET", "HEAD", "POST"])
def restore_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Charge an earlier price again, as a new period."""
    ensure_may(request, CHANGE)
    period = _period_for(object_id)
    if period is None:
        return HttpResponseRedirect(reverse(f"admin:{PAGE}_changelist"))
    begun_today = _begun_today(period.service_type)
    day = clock.today()
    if begun_today is not None and (
        begun_today.is_active
        and (begun_today.price, amount_of(begun_today)) == (period.price, amount_of(period))
    ):
        # It is charged already: whoever restores it wants it after today's has ended.
        day += timedelta(days=1)
    initial = {
        **initial_of(period),
        "is_active": True,
        "effective_date": day,
        "expiry_date": None,
        "reason": _("恢复 %(day)s 起的价格") % {"day": period.effective_date},
    }
    title = _("恢复价格：%(name)s") % {"name": period.service_name}
    return _edit(request, model_admin, period, initial, title, is_restore=True)


def _begun_today(service_type: str) -> PriceConfig | None:
    periods = price_periods(service_type)
    return next((one for one in periods if one.effective_date == clock.today()), None)


def _restore_note(period: PriceConfig) -> str:
    """What becomes of today's price, where the restored one begins today: of two periods only
    one can begin on a day."""
    begun_today = _begun_today(period.service_type)
    if begun_today is None:
        return _("生效日期为今天时：从保存起按恢复的价格收取；现有的价格只到昨天为止。")
    facts = {"amount": f"{amount_of(begun_today):.2f}"}
    return _("生效日期为今天时：今天开始的价格（收 %(amount)s 元）从保存起改为恢复的价格。") % facts


def _edit(
    request: HttpRequest,
    model_admin: Any,
    period: PriceConfig | None,
    initial: dict[str, Any],
    title: str,
    *,
    is_restore: bool = False,
) -> HttpResponse:
    """Form → preview → saved, or waiting for a second person."""
    form = PriceForm(
        request.POST if request.method == "POST" else None,
        initial=initial,
        period=period,
    )
    context: dict[str, Any] = {
        "title": title,
        "form": form,
        "period": period,
        "restore_note": _restore_note(period) if period and is_restore else "",
        "periods": price_periods(period.service_type) if period else [],
    }
    if request.method == "POST" and form.is_valid() and "edit" not in request.POST:
        change = form.change()
        preview = _preview(form, change)
        if "save" in request.POST and preview is not None and _is_end_known(form, preview):
            answer = _save(request, form, change, period if is_restore else None)
            if answer is not None:
                return answer
            preview = _preview(form, change)
        if preview is not None:
            return page(request, model_admin, "prices/preview.html", context | preview)
    return page(request, model_admin, "prices/form.html", context)


def _preview(form: PriceForm, change: PriceChange) -> dict[str, Any] | None:
    """What the change would do; None where it does not fit, and the form says why."""
    before = price_periods(change.service_type)
    planned = price_periods(change.service_type)
    try:
        plan = guarded_plan(planned, change)
    except InvalidInput as error:
        _add_errors(form, error)
        return None
    if plan.changes_nothing:
        form.add_error(None, _("与现在的价格相同，没有需要保存的修改。"))
        return None
    after = after_plan(planned, plan)
    limit = settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT
    return {
        "plan": plan,
        "amount": amount_of(plan.row),
        "outlook": outlook(before, after),
        "ends_in_nothing": ends_in_nothing(after, plan),
        "measured_days": MEASURED_DAYS,
        "needs_second": is_beyond(plan, limit),
        "limit": limit,
        "seen": periods_digest(before),
        "fields": [
            (name, value)
            for name, value in form.data.items()
            if name in form.fields and name not in ("seen", "is_end_known")
        ],
    }


def _is_end_known(form: PriceForm, preview: dict[str, Any]) -> bool:
    """A price that ends with none after it is saved only by somebody who was told so."""
    if not preview["ends_in_nothing"] or form.cleaned_data["is_end_known"]:
        return True
    form.add_error(None, _("之后没有价格：请勾选后再保存，或返回修改失效日期。"))
    return False


def _save(
    request: HttpRequest, form: PriceForm, change: PriceChange, restored: PriceConfig | None
) -> HttpResponse | None:
    """Save it; None where the preview has to be looked at again."""
    try:
        saved = price_change(
            actor=actor_of(request),
            change=change,
            limit_percent=settings.PRICE_CHANGE_SECOND_PERSON_OVER_PERCENT,
            may_wait=True,
            reason=form.cleaned_data["reason"],
            seen=form.cleaned_data["seen"],
            restored_from=restored.pk if restored else None,
        )
    except PricesChangedMeanwhile as error:
        messages.warning(request, str(error.text))
        return None
    except InvalidInput as error:
        _add_errors(form, error)
        return None
    except DomainError as error:
        form.add_error(None, str(error.text))
        return None
    if isinstance(saved, PriceChangeRequest):
        text = _("改价幅度 %(percent)s，已提交，须由第二人确认后才生效。")
        messages.warning(
            request,
            text % {"percent": percent_text(saved)},
        )
        return HttpResponseRedirect(admin_url(f"{REQUEST_PAGE}_review", saved.pk))
    messages.success(request, saved_text(saved))
    return HttpResponseRedirect(reverse(f"admin:{PAGE}_service", args=[saved.service_type]))


def percent_text(change: PriceChangeRequest) -> str:
    return f"{signed_percent(change.amount_before, change.amount_after, change.percent)}%"


def saved_text(price: PriceConfig) -> str:
    if not price.is_active:
        return _("已停用这一价格。")
    facts = {
        "name": price.service_name,
        "day": max(price.effective_date, clock.today()),
        "amount": f"{amount_of(price):.2f}",
    }
    return _("已保存：%(name)s自 %(day)s 起收 %(amount)s 元。") % facts


def _add_errors(form: PriceForm, error: InvalidInput) -> None:
    for name, texts in error.errors.items():
        for text in texts:
            form.add_error(name if name in form.fields else None, str(text))


# --- what they share ----------------------------------------------------------------------------


def _period_for(object_id: str) -> PriceConfig | None:
    return PriceConfig.objects.filter(pk=as_uuid_or_text(object_id)).first()


def price_urls(model_admin: Any) -> list[URLPattern]:
    pages = {
        "calendar": ("calendar/", calendar_view),
        "service": ("service/<str:service_type>/", service_view),
        "add": ("add/", add_view),
        "restore": ("<path:object_id>/restore/", restore_view),
        "change": ("<path:object_id>/change/", change_view),
    }
    return own_urls(model_admin, PAGE, pages)
