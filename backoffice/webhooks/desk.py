"""What staff do with the platform's addresses: pages of their own with one form each.

They are not the admin's change form: the services are units of their own, and a test waits for the
receiver while no transaction is open.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import unquote
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from backoffice.site.bases import actor_of, admin_url, ensure_may, own_urls, page
from backoffice.site.display import directions_shown
from backoffice.site.forms import ReasonFormField
from backoffice.webhooks.fields import MANAGE, TypesField
from backoffice.webhooks.replay import replay_view
from backoffice.webhooks.words import (
    ANSWER_SHOWN_MAX,
    ENDPOINT_PAGE,
    endpoint_state,
    facts_of,
)
from tcmpay.common.actor import Actor
from tcmpay.common.errors import DomainError
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import (
    NewSecret,
    endpoint_add,
    endpoint_change,
    endpoint_disable,
    endpoint_enable,
    endpoint_rotate,
)
from webhooks.services.pinging import endpoint_ping

OVERLAPS = (
    (86_400, gettext_lazy("24 小时：平常更换")),
    (7 * 86_400, gettext_lazy("7 天：接收方更新得慢")),
    (0, gettext_lazy("不再有效：旧密钥已泄露（接收方换上新密钥之前会验签失败）")),
)


class AddForm(forms.Form):
    url = forms.CharField(
        label=gettext_lazy("推送地址"),
        max_length=1024,
        widget=UnfoldAdminTextInputWidget(
            attrs={"placeholder": "https://platform.example.com/hooks", "inputmode": "url"}
        ),
        help_text=gettext_lazy(
            "平台接收事件的地址，须是公网上的 https。本机和内网的地址一律不收："
            "否则谁都能借我们去碰内部的系统。"
        ),
    )
    types = TypesField()


class TypesForm(forms.Form):
    types = TypesField()
    reason = ReasonFormField()


class RotateForm(forms.Form):
    overlap = forms.TypedChoiceField(
        label=gettext_lazy("旧密钥"),
        coerce=int,
        choices=OVERLAPS,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("这段时间里新旧两个密钥都签名，接收方认哪个都行。"),
    )
    reason = ReasonFormField()
    seen = forms.DateTimeField(widget=forms.HiddenInput, required=False)


class ReasonForm(forms.Form):
    reason = ReasonFormField()


# --- steps --------------------------------------------------------------------------------------


def _rotate(actor: Actor, endpoint: WebhookEndpoint, wanted: Mapping[str, Any]) -> NewSecret:
    return endpoint_rotate(
        actor=actor,
        endpoint_id=endpoint.id,
        overlap=timedelta(seconds=wanted["overlap"]),
        reason=wanted["reason"],
        seen_at=wanted["seen"],
    )


def _subscribe(actor: Actor, endpoint: WebhookEndpoint, wanted: Mapping[str, Any]) -> str:
    endpoint_change(
        actor=actor, endpoint_id=endpoint.id, types=wanted["types"], reason=wanted["reason"]
    )
    return _("已更改，自下一个事件起生效。")


def _disable(actor: Actor, endpoint: WebhookEndpoint, wanted: Mapping[str, Any]) -> str:
    endpoint_disable(actor=actor, endpoint_id=endpoint.id, reason=wanted["reason"])
    return _("已停用，不再向它推送；事件照样保留。")


def _enable(actor: Actor, endpoint: WebhookEndpoint, wanted: Mapping[str, Any]) -> str:
    endpoint_enable(actor=actor, endpoint_id=endpoint.id, reason=wanted["reason"])
    return _("已启用，没有收到的事件正按顺序补送。")


@dataclass(frozen=True)
class Step:
    """Something to do with an endpoint: what is asked, what is done."""

    title: Any
    icon: str
    form: type[forms.Form]
    note: Any
    button: Any
    run: Callable[[Actor, WebhookEndpoint, Mapping[str, Any]], str | NewSecret]
    is_offered: Callable[[WebhookEndpoint], bool] = lambda endpoint: True
    is_no: bool = False


STEPS: Mapping[str, Step] = {
    "enable": Step(
        title=gettext_lazy("启用地址"),
        icon="play_arrow",
        form=ReasonForm,
        note=gettext_lazy(
            "先“发送测试 ping”看接收方是否好了。启用后，没有收到的事件按顺序补送（保留 90 天）。"
        ),
        button=gettext_lazy("启用地址"),
        run=_enable,
        is_offered=lambda endpoint: not endpoint.is_enabled,
    ),
    "types": Step(
        title=gettext_lazy("更改订阅"),
        icon="tune",
        form=TypesForm,
        note=gettext_lazy("自下一个事件起生效；已经安排的投递不变。"),
        button=gettext_lazy("保存"),
        run=_subscribe,
    ),
    "rotate": Step(
        title=gettext_lazy("更换密钥"),
        icon="key",
        form=RotateForm,
        note=gettext_lazy(
            "新密钥只在下一页显示一次。请先约好平台的同事：旧密钥到期之前要把新密钥存进接收方的配置。"
        ),
        button=gettext_lazy("生成新密钥"),
        run=_rotate,
    ),
    "disable": Step(
        title=gettext_lazy("停用地址"),
        icon="pause",
        form=ReasonForm,
        note=gettext_lazy(
            "停用后平台不再收到任何通知：订单已支付、退款成功都要靠它自己来查。"
            "事件照样保留 90 天，启用后补送。"
        ),
        button=gettext_lazy("停用地址"),
        run=_disable,
        is_offered=lambda endpoint: endpoint.is_enabled,
        is_no=True,
    ),
}


def steps_for(user: Any, endpoint: WebhookEndpoint) -> list[dict[str, Any]]:
    """The buttons that ``user`` may press on the endpoint's page."""
    if not user.has_perm(MANAGE):
        return []
    offered = [(name, step) for name, step in STEPS.items() if step.is_offered(endpoint)]
    found = [
        {
            "title": step.title,
            "icon": step.icon,
            "url": admin_url(f"{ENDPOINT_PAGE}_{name}", endpoint.pk),
            "tone": "no" if step.is_no else "plain",
        }
        for name, step in offered
    ]
    if endpoint.is_enabled:
        replay = {
            "title": _("重新推送"),
            "icon": "replay",
            "url": admin_url(f"{ENDPOINT_PAGE}_replay", endpoint.pk),
            "tone": "plain",
        }
        found.insert(len(found) - 1, replay)
    return found


@require_http_methods(["GET", "HEAD", "POST"])
def step_view(request: HttpRequest, object_id: str, name: str, model_admin: Any) -> HttpResponse:
    """One step of one endpoint: facts beside a form; only a POST with its token does it."""
    ensure_may(request, MANAGE)
    step = STEPS[name]
    endpoint = model_admin.get_object(request, unquote(object_id))
    if endpoint is None:
        return _gone(request)
    seen = {"types": endpoint.types, "seen": endpoint.updated_at.isoformat()}
    form = step.form(request.POST if request.method == "POST" else None, initial=seen)
    if request.method == "POST" and form.is_valid():
        try:
            done = step.run(actor_of(request), endpoint, form.cleaned_data)
        except DomainError as error:
            form.add_error(None, str(error.text))
        else:
            if isinstance(done, NewSecret):
                return _secret(request, model_admin, done)
            messages.success(request, done)
            return HttpResponseRedirect(admin_url(f"{ENDPOINT_PAGE}_change", endpoint.pk))
    context = {
        "title": step.title,
        "endpoint": endpoint,
        "facts": facts_of(endpoint),
        "step": step,
        "form": form,
        "is_offered": step.is_offered(endpoint),
        "state": endpoint_state(endpoint),
    }
    return page(request, model_admin, "webhooks/step.html", context)


def _gone(request: HttpRequest) -> HttpResponse:
    messages.warning(request, _("没有这个推送地址。"))
    return HttpResponseRedirect(reverse(f"admin:{ENDPOINT_PAGE}_changelist"))


def _secret(request: HttpRequest, model_admin: Any, made: NewSecret) -> HttpResponse:
    """The one page that shows a secret; asked for again, it makes no other."""
    context = {"title": _("推送密钥"), "endpoint": made.endpoint, "secret": made.secret}
    return page(request, model_admin, "webhooks/secret.html", context)


# --- adding, testing ----------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
def new_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    ensure_may(request, MANAGE)
    form = AddForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            made = endpoint_add(
                actor=actor_of(request),
                url=form.cleaned_data["url"],
                types=form.cleaned_data["types"],
            )
        except DomainError as error:
            form.add_error("url", str(error.text))
        else:
            return _secret(request, model_admin, made)
    context = {"title": _("添加推送地址"), "form": form}
    return page(request, model_admin, "webhooks/new.html", context)


@require_POST
def ping_view(request: HttpRequest, object_id: str, model_admin: Any) -> HttpResponse:
    """Send a test message now, and say what came back."""
    ensure_may(request, MANAGE)
    endpoint = model_admin.get_object(request, unquote(object_id))
    if endpoint is None:
        return _gone(request)
    try:
        tried = endpoint_ping(actor=actor_of(request), endpoint_id=endpoint.id)
    except DomainError as error:
        messages.error(request, str(error.text))
    else:
        answer = directions_shown(tried.answer)[:ANSWER_SHOWN_MAX]
        status = f"HTTP {tried.http_status}" if tried.http_status else tried.get_problem_display()
        facts = {"status": status, "ms": tried.took_ms, "answer": answer or _("（空）")}
        if tried.is_success:
            text = _("接收方收下了测试 ping：%(status)s，%(ms)d 毫秒，应答：%(answer)s")
            messages.success(request, text % facts)
        else:
            text = _("接收方没有收下测试 ping：%(status)s，%(ms)d 毫秒，应答：%(answer)s")
            messages.error(request, text % facts)
    return HttpResponseRedirect(admin_url(f"{ENDPOINT_PAGE}_change", endpoint.pk))


def endpoint_urls(model_admin: Any) -> list[URLPattern]:
    steps = {name: (f"<path:object_id>/{name}/", partial(step_view, name=name)) for name in STEPS}
    others: dict[str, tuple[str, Callable[..., Any]]] = {
        "new": ("new/", new_view),
        "ping": ("<path:object_id>/ping/", ping_view),
        "replay": ("<path:object_id>/replay/", replay_view),
    }
    return own_urls(model_admin, ENDPOINT_PAGE, {**others, **steps})
