"""The pages on which a gateway is configured: draft → test → activate → roll back.

They are not the admin's change form: the services are durable units, and a test waits for the
gateway while no transaction is open.
"""

from functools import partial
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST
from unfold.widgets import UnfoldBooleanSwitchWidget

from backoffice.gateways.facts import (
    differences,
    expiry_lines,
    gateway_card,
    labels,
    last_changes,
    stored_findings,
    version_lines,
    write_only_keys,
)
from backoffice.gateways.forms import GatewayForm
from backoffice.site.bases import actor_of, ensure_may, own_urls, page
from backoffice.site.forms import ReasonFormField
from config.gateways.drafts import (
    Candidate,
    candidate_of,
    config_roll_back,
    draft_activate,
    draft_discard,
    draft_save,
    draft_test,
    roll_back_draft,
    version_of,
)
from config.gateways.echo import echo_expect, echo_is_heard
from config.gateways.examine import Depth, examine_values
from config.gateways.fields import KNOWN_KEYS, keys_of
from config.gateways.versions import version_running, version_values
from config.models import GatewayMethod, PaymentConfigDraft
from gateways.configuration import notify_url_in_path_form
from gateways.findings import Finding
from gateways.key_blocks import KeyUnreadable
from gateways.key_texts import describe, expiries
from gateways.trial import EchoListener
from tcmpay.accounts.selectors import person_text
from tcmpay.common import clock
from tcmpay.common.errors import DomainError, InvalidInput
from tcmpay.common.sealing import ConfigSecretUnreadable

ECHO_WAITED_SECONDS = 6.0
ECHO_LISTENER = EchoListener(
    echo_expect, partial(echo_is_heard, within_seconds=ECHO_WAITED_SECONDS)
)
VIEW = "config.view_paymentconfig"
CHANGE = "config.change_paymentconfig"
ACTIVATE = "config.activate_paymentconfig"
PAGE = "config_paymentconfig"
SERIAL = "cert_serial_no"


class ActivateForm(forms.Form):
    revision = forms.IntegerField(widget=forms.HiddenInput, min_value=0)
    reason = ReasonFormField(label=gettext_lazy("启用原因"))


class RollBackForm(forms.Form):
    reason = ReasonFormField(label=gettext_lazy("恢复原因"))
    is_known = forms.BooleanField(
        label=gettext_lazy("我已知道上面的问题，仍要恢复这个版本"),
        required=False,
        widget=UnfoldBooleanSwitchWidget,
    )

    def __init__(self, *args: Any, has_errors: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not has_errors:
            del self.fields["is_known"]
        self.has_errors = has_errors

    def clean_is_known(self) -> bool:
        if not self.cleaned_data["is_known"]:
            raise forms.ValidationError(_("该版本现在有错误：请先确认知道，或选择另一个版本。"))
        return True


# --- the overview -------------------------------------------------------------------------------


def overview_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Both gateways at a glance."""
    ensure_may(request, VIEW)
    drafts = set(PaymentConfigDraft.objects.values_list("payment_method", flat=True))
    cards = [gateway_card(method, method in drafts) for method in KNOWN_KEYS]
    context = {"title": _("支付配置"), "cards": cards}
    return page(request, model_admin, "gateways/gateways.html", context)


# --- one gateway --------------------------------------------------------------------------------


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def gateway_view(request: HttpRequest, method: str, model_admin: Any) -> HttpResponse:
    """The form of one gateway. Posting saves the draft, and tests it where that was asked for."""
    ensure_may(request, VIEW)
    _ensure_method(method)
    try:
        candidate = candidate_of(method)
    except ConfigSecretUnreadable as error:
        return _unreadable(request, method, model_admin, error)
    if request.method != "POST":
        return _gateway_page(request, method, model_admin, candidate)
    ensure_may(request, CHANGE)
    form = _form(candidate, request.POST, request.FILES)
    revision = _revision(request)
    if form.is_valid():
        try:
            is_draft = draft_save(
                actor=actor_of(request), method=method, values=form.wanted(), revision=revision
            )
        except InvalidInput as error:
            for text in error.errors.get("config_value", [error.text]):
                form.add_error(None, str(text))
        except DomainError as error:
            form.add_error(None, str(error.text))
        else:
            return _saved(request, method, is_draft)
    return _gateway_page(request, method, model_admin, candidate, form=form)


def _saved(request: HttpRequest, method: str, is_draft: bool) -> HttpResponse:
    if not is_draft:
        messages.info(request, _("与现行配置相同，没有需要启用的修改。"))
    elif "test" not in request.POST:
        messages.success(request, _("草稿已保存，尚未生效。下一步：测试草稿。"))
    if "test" in request.POST and is_draft:
        findings = draft_test(
            actor=actor_of(request), method=method, depth=_depth(request), listener=ECHO_LISTENER
        )
        _tell_test(request, findings)
    return HttpResponseRedirect(_url(method))


def _tell_test(request: HttpRequest, findings: list[Finding]) -> None:
    if any(finding.level == "error" for finding in findings):
        messages.error(request, _("测试没有通过，请按“测试结果”里的说明修改后再试。"))
    else:
        messages.success(
            request, _("测试通过；没有证明的项目见“测试结果”。下一步：填写原因并启用。")
        )


@require_POST
def test_view(request: HttpRequest, method: str, model_admin: Any) -> HttpResponse:
    """Test the draft, or without one what is in force, and show what came of it."""
    ensure_may(request, CHANGE)
    _ensure_method(method)
    try:
        findings = draft_test(
            actor=actor_of(request), method=method, depth=_depth(request), listener=ECHO_LISTENER
        )
        candidate = candidate_of(method)
    except ConfigSecretUnreadable as error:
        return _unreadable(request, method, model_admin, error)
    if candidate.draft is not None:
        _tell_test(request, findings)
        return HttpResponseRedirect(_url(method))
    return _gateway_page(request, method, model_admin, candidate, tested=findings)


@require_POST
def activate_view(request: HttpRequest, method: str, model_admin: Any) -> HttpResponse:
    ensure_may(request, ACTIVATE)
    _ensure_method(method)
    form = ActivateForm(request.POST)
    if not form.is_valid():
        return _gateway_page(request, method, model_admin, candidate_of(method), activate=form)
    try:
        version = draft_activate(
            actor=actor_of(request),
            method=method,
            revision=form.cleaned_data["revision"],
            reason=form.cleaned_data["reason"],
        )
    except DomainError as error:
        messages.error(request, str(error.text))
    else:
        number = version.number if version else version_number(method)
        text = _("已启用版本 %(number)d，自下一笔支付起生效。如有问题可在“历史版本”恢复。")
        messages.success(request, text % {"number": number})
    return HttpResponseRedirect(_url(method))


def version_number(method: str) -> int:
    running = version_running(method)
    return running.number if running else 0


@require_POST
def discard_view(request: HttpRequest, method: str, model_admin: Any) -> HttpResponse:
    ensure_may(request, CHANGE)
    _ensure_method(method)
    try:
        draft_discard(actor=actor_of(request), method=method, revision=_revision(request))
    except DomainError as error:
        messages.error(request, str(error.text))
    else:
        messages.success(request, _("草稿已放弃，现行配置没有变动。"))
    return HttpResponseRedirect(_url(method))


@require_http_methods(["GET", "HEAD", "POST"])
def roll_back_view(
    request: HttpRequest, method: str, number: int, model_admin: Any
) -> HttpResponse:
    """What bringing back an earlier version would change, and what the doctor says of it."""
    ensure_may(request, ACTIVATE)
    _ensure_method(method)
    try:
        version = version_of(method, number)
        values = version_values(version.id)
        current = candidate_of(method).in_force
    except DomainError as error:
        messages.error(request, str(error.text))
        return HttpResponseRedirect(_url(method))
    except ConfigSecretUnreadable:
        messages.error(request, _("这个版本无法解密，不能恢复。"))
        return HttpResponseRedirect(_url(method))
    findings = examine_values(method, values)
    has_errors = any(finding.level == "error" for finding in findings)
    form = RollBackForm(request.POST if request.method == "POST" else None, has_errors=has_errors)
    if request.method == "POST" and form.is_valid():
        return _roll_back(request, method, number, form.cleaned_data["reason"])
    context = {
        "title": _("恢复%(name)s版本 %(number)d") % {"name": _name(method), "number": number},
        "method": method,
        "version": version,
        "person": person_text(version.created_by),
        "differences": differences(method, current, values, write_only_keys(method)),
        "findings": findings,
        "form": form,
        "needs_second": settings.CONFIG_ACTIVATION_SECOND_PERSON,
    }
    return page(request, model_admin, "gateways/roll_back.html", context)


def _roll_back(request: HttpRequest, method: str, number: int, reason: str) -> HttpResponse:
    if settings.CONFIG_ACTIVATION_SECOND_PERSON:
        return _propose_roll_back(request, method, number, reason)
    version = config_roll_back(actor=actor_of(request), method=method, number=number, reason=reason)
    if version is None:
        messages.info(request, _("现行配置与该版本相同，没有变动。"))
    else:
        text = _("已恢复版本 %(old)d 的内容，作为版本 %(new)d 自下一笔支付起生效。")
        messages.success(request, text % {"old": number, "new": version.number})
    return HttpResponseRedirect(_url(method))


def _propose_roll_back(request: HttpRequest, method: str, number: int, reason: str) -> HttpResponse:
    """Where two people are needed to change what is in force, going back is a change too."""
    try:
        is_draft = roll_back_draft(
            actor=actor_of(request), method=method, number=number, reason=reason
        )
    except DomainError as error:
        messages.error(request, str(error.text))
    else:
        if is_draft:
            text = _("版本 %(old)d 的内容已存为草稿，尚未生效：请测试，再由另一人启用。")
            messages.success(request, text % {"old": number})
        else:
            messages.info(request, _("现行配置与该版本相同，没有变动。"))
    return HttpResponseRedirect(_url(method))


# --- as it is typed -----------------------------------------------------------------------------


@sensitive_post_parameters()
@require_POST
def check_view(request: HttpRequest, method: str, model_admin: Any) -> JsonResponse:
    """What the doctor says of the form as it is typed now. Saves nothing, repeats no value."""
    ensure_may(request, CHANGE)
    _ensure_method(method)
    try:
        candidate = candidate_of(method)
    except ConfigSecretUnreadable:
        return JsonResponse({"fields": {}, "whole": []})
    form = _form(candidate, request.POST, request.FILES)
    form.is_valid()
    values = candidate.values
    for name, value in form.wanted().items():
        if name not in form.errors:
            values[name] = value
    fields: dict[str, list[dict[str, str]]] = {name: [] for name in form.keys}
    for name, errors in form.errors.items():
        fields.setdefault(name, []).extend(
            {"level": "error", "message": str(text), "fix": ""} for text in errors
        )
    whole: list[dict[str, str]] = []
    for finding in examine_values(method, {key: text for key, text in values.items() if text}):
        said = {"level": finding.level, "message": str(finding.message), "fix": str(finding.fix)}
        if finding.key in form.errors:
            continue
        fields.get(finding.key, whole).append(said)
    for name, key in form.keys.items():
        if line := _told(form, name, key.kind):
            fields[name].append({"level": "ok", "message": line, "fix": ""})
    # A serial read from a certificate is put into its field; nothing else is sent back.
    is_shown = SERIAL in form.keys and SERIAL not in {*form.write_only, *form.errors}
    normal = {SERIAL: form.cleaned_data.get(SERIAL, "")} if is_shown else {}
    return JsonResponse({"fields": fields, "whole": whole, "normalised": normal})


def _told(form: GatewayForm, name: str, kind: Any) -> str:
    """What a key that was just entered says about itself."""
    value = form.cleaned_data.get(name, "")
    try:
        return str(describe(kind, value, now=clock.now())) if value else ""
    except KeyUnreadable:
        return ""


# --- what they share ----------------------------------------------------------------------------


def _gateway_page(
    request: HttpRequest,
    method: str,
    model_admin: Any,
    candidate: Candidate,
    *,
    form: GatewayForm | None = None,
    activate: ActivateForm | None = None,
    tested: list[Finding] | None = None,
) -> HttpResponse:
    draft = candidate.draft
    revision = draft.revision if draft else 0
    form = form or _form(candidate)
    user: Any = request.user
    context = {
        "title": _name(method),
        "method": method,
        "form": form,
        "problems": form.problems(),
        "lost": form.lost(),
        "sections": list(form.sections(frozenset(candidate.changes), last_changes(method))),
        "candidate": candidate,
        "draft": draft,
        "draft_person": person_text(draft.updated_by) if draft else "",
        "draft_labels": labels(method, candidate.changes),
        "tester": person_text(draft.tested_by) if draft and draft.tested_at else "",
        "revision": revision,
        "running": version_running(method),
        "running_findings": examine_values(method, candidate.in_force),
        "test_findings": tested if tested is not None else stored_findings(candidate),
        "is_tested_now": tested is not None,
        "has_test_errors": any(finding.level == "error" for finding in tested or ()),
        "expiries": expiry_lines(expiries(method, candidate.in_force, now=clock.now()), method),
        "callback_url": _callback_url(request, method),
        "is_callback_other": _is_callback_other(request, method, candidate),
        "versions": version_lines(method),
        "activate": activate or ActivateForm(initial={"revision": revision}),
        "may_change": user.has_perm(CHANGE),
        "may_activate": user.has_perm(ACTIVATE),
    }
    return page(request, model_admin, "gateways/gateway.html", context)


def _form(candidate: Candidate, *args: Any) -> GatewayForm:
    hidden = write_only_keys(candidate.method)
    values = candidate.values
    return GatewayForm(
        *args,
        method=candidate.method,
        shown={key: value for key, value in values.items() if key not in hidden},
        held=frozenset(values),
        write_only=hidden,
    )


def _callback_url(request: HttpRequest, method: str) -> str:
    """Where this gateway's callbacks arrive, as this page's own address is reached."""
    return request.build_absolute_uri(f"/payment/callback/{method}")


def _is_callback_other(request: HttpRequest, method: str, candidate: Candidate) -> bool:
    configured = candidate.values.get("notify_url", "")
    return bool(configured) and notify_url_in_path_form(configured) != _callback_url(
        request, method
    )


def _unreadable(
    request: HttpRequest, method: str, model_admin: Any, error: ConfigSecretUnreadable
) -> HttpResponse:
    context = {
        "title": _name(method),
        "labels": labels(method, (name.partition(".")[2] for name in error.keys)),
    }
    return page(request, model_admin, "gateways/unreadable.html", context)


def _depth(request: HttpRequest) -> Depth:
    """A real order is made at the gateway only where the person ticked it."""
    return Depth.ORDER if "with_order" in request.POST else Depth.QUERY


def _revision(request: HttpRequest) -> int:
    text = request.POST.get("revision", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else -1


def _ensure_method(method: str) -> None:
    if method not in KNOWN_KEYS:
        raise Http404
    keys_of(method)


def _name(method: str) -> str:
    return str(GatewayMethod(method).label)


def _url(method: str) -> str:
    return reverse(f"admin:{PAGE}_gateway", args=[method])


def gateway_urls(model_admin: Any) -> list[URLPattern]:
    pages = {
        "gateway": ("gateway/<str:method>/", gateway_view),
        "check": ("gateway/<str:method>/check/", check_view),
        "test": ("gateway/<str:method>/test/", test_view),
        "activate": ("gateway/<str:method>/activate/", activate_view),
        "discard": ("gateway/<str:method>/discard/", discard_view),
        "version": ("gateway/<str:method>/versions/<int:number>/", roll_back_view),
    }
    return own_urls(model_admin, PAGE, pages)
