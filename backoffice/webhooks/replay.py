"""Sending events again: which ones, how many that would be, and only then doing it."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from backoffice.site.bases import actor_of, admin_url, ensure_may, page
from backoffice.site.forms import REASON_LENGTH_MAX
from backoffice.webhooks.fields import MANAGE, TypesField
from backoffice.webhooks.numbers import objects_numbered
from backoffice.webhooks.words import ENDPOINT_PAGE, type_text
from tcmpay.common.errors import DomainError
from webhooks.models import WebhookEndpoint
from webhooks.services.replay import Which, endpoint_replay, events_which
from webhooks.states import EventType

# So many go in the time of a request; more are for the command.
EVENTS_MAX = 20_000
NUMBERS_MAX = 50


def _moment(label: Any) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label,
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"],
    )


class ReplayForm(forms.Form):
    """Times are of Asia/Shanghai."""

    since = _moment(gettext_lazy("从（北京时间，含）"))
    until = _moment(gettext_lazy("到（不含）"))
    types = TypesField(
        label=gettext_lazy("事件"),
        help_text=gettext_lazy("一个都不选，就是它订阅的全部。"),
    )
    numbers = forms.CharField(
        label=gettext_lazy("单号"),
        required=False,
        max_length=4000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text=gettext_lazy("订单号或退款单号，空格或换行分开；订单的退款也算在内。"),
    )
    reason = forms.CharField(
        label=gettext_lazy("原因"),
        required=False,
        max_length=REASON_LENGTH_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
    )
    # How many events were shown before it was confirmed, and up to which sequence.
    shown = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)
    up_to = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=0)

    def clean_numbers(self) -> list[Any] | None:
        """The objects' ids; None where no number was written."""
        numbers = self.cleaned_data["numbers"].replace(",", " ").replace("，", " ").split()
        if not numbers:
            return None
        if len(numbers) > NUMBERS_MAX:
            raise forms.ValidationError(_("一次最多 %(most)d 个单号。") % {"most": NUMBERS_MAX})
        found = objects_numbered(numbers)
        if not found:
            raise forms.ValidationError(_("没有这些单号的订单或退款，请检查是否完整。"))
        return found

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        if not self.errors and not any(
            cleaned.get(name) for name in ("since", "until", "types", "numbers")
        ):
            self.add_error(None, _("请至少写一个条件：时间、事件或单号。"))
        if "confirm" in self.data and not cleaned.get("reason"):
            self.add_error("reason", _("请写明原因，它会记入审计记录。"))
        return cleaned

    @property
    def is_chosen(self) -> bool:
        """Whether it is said which events, also where the reason is missing still."""
        return set(self.errors) <= {"reason"}

    def which(self, endpoint: WebhookEndpoint) -> Which:
        wanted = self.cleaned_data
        is_as_shown = "confirm" in self.data and wanted.get("up_to") is not None
        return Which(
            up_to=wanted["up_to"] if is_as_shown else endpoint.reached,
            since=wanted["since"],
            until=wanted["until"],
            types=wanted["types"],
            objects=wanted["numbers"],
        )


@require_http_methods(["GET", "HEAD", "POST"])
def replay_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """First how many events that would be; confirmed with the same number, they go again."""
    ensure_may(request, MANAGE)
    endpoint = model_admin.get_object(request, unquote(object_id))
    if endpoint is None:
        messages.warning(request, _("没有这个推送地址。"))
        return HttpResponseRedirect(reverse(f"admin:{ENDPOINT_PAGE}_changelist"))
    posted = request.POST if request.method == "POST" else None
    form = ReplayForm(posted, initial={"numbers": request.GET.get("numbers", "")[:4000]})
    preview = None
    if posted is not None and form.is_chosen:
        which = form.which(endpoint)
        preview = _preview(endpoint, which)
        is_shown = form.cleaned_data.get("shown") == preview["count"]
        is_confirmed = "confirm" in posted and form.is_valid() and is_shown
        if is_confirmed and 0 < preview["count"] <= EVENTS_MAX:
            done = _replay(request, endpoint, which, form)
            if done is not None:
                return done
    context = {
        "title": _("重新推送"),
        "endpoint": endpoint,
        "form": form,
        "preview": preview,
        "most": EVENTS_MAX,
        "is_offered": endpoint.is_enabled,
    }
    return page(request, model_admin, "webhooks/replay.html", context)


def _preview(endpoint: WebhookEndpoint, which: Which) -> dict[str, Any]:
    """How many events of each type, from when to when."""
    events = events_which(endpoint, which)
    counts = dict(events.order_by().values_list("type").annotate(Count("pk")))
    times = events.order_by("sequence").values_list("created_at", flat=True)
    first: datetime | None = times.first()
    return {
        "count": sum(counts.values()),
        "by_type": [(type_text(one), counts[one]) for one in EventType.values if one in counts],
        "first": first,
        "last": times.last(),
        "up_to": which.up_to,
        "is_too_many": sum(counts.values()) > EVENTS_MAX,
    }


def _replay(
    request: HttpRequest, endpoint: WebhookEndpoint, which: Which, form: ReplayForm
) -> HttpResponse | None:
    """Do it; None where it could not be done and the form says why."""
    try:
        count = endpoint_replay(
            actor=actor_of(request),
            endpoint_id=endpoint.id,
            which=which,
            reason=form.cleaned_data["reason"],
        )
    except DomainError as error:
        form.add_error(None, str(error.text))
        return None
    messages.success(request, _("已安排重新推送 %(count)s 个事件") % {"count": count})
    return HttpResponseRedirect(admin_url(f"{ENDPOINT_PAGE}_change", endpoint.pk))
