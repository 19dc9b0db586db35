"""What an administrator does to an account besides its form: a page each, with a reason."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from axes.models import AccessAttempt
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.transaction import atomic
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from backoffice.site.bases import actor_of, admin_url, page
from backoffice.staff.forms import ReasonForm
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.services.second_factor import device_of, second_factor_reset
from tcmpay.accounts.services.staff import sessions_end
from tcmpay.accounts.services.trail import staff_audit
from tcmpay.common.actor import Actor
from tcmpay.common.fields import as_uuid_or_text


def _unlock(*, person: StaffUser, actor: Actor, reason: str) -> None:
    """Forget the account's failures at every address."""
    with atomic():
        StaffUser.objects.select_for_update().get(pk=person.pk)
        AccessAttempt.objects.filter(username=person.get_username()).delete()
        staff_audit(person, "staff_unlocked", actor=actor, reason=reason)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do to an account; ``is_offered`` says when it makes sense."""

    title: Any
    icon: str
    text: Any
    done: Any
    run: Callable[..., Any]
    is_offered: Callable[[StaffUser], bool]


STEPS = {
    "reset-second-factor": Step(
        title=_("重置身份验证器"),
        icon="phonelink_erase",
        text=_(
            "原来的身份验证器与恢复码作废，所有登录立即失效；本人下次登录时重新绑定。请先当面或电话确认是本人。"
        ),
        done=_("已重置身份验证器。"),
        run=second_factor_reset,
        is_offered=lambda person: device_of(person) is not None,
    ),
    "end-sessions": Step(
        title=_("强制退出"),
        icon="logout",
        text=_("该员工在所有设备上的登录立即失效，可以重新登录。"),
        done=_("已强制退出。"),
        run=sessions_end,
        is_offered=lambda person: person.is_active,
    ),
    "unlock": Step(
        title=_("解除锁定"),
        icon="lock_open",
        text=_("清除该账号的登录失败记录，可以马上再次登录。"),
        done=_("已解除锁定。"),
        run=_unlock,
        is_offered=lambda person: AccessAttempt.objects.filter(
            username=person.get_username()
        ).exists(),
    ),
}


def offered_steps(person: StaffUser) -> list[dict[str, Any]]:
    """The buttons of an account's page."""
    return [
        {
            "title": step.title,
            "icon": step.icon,
            "url": admin_url("accounts_staffuser_step", person.pk, name),
        }
        for name, step in STEPS.items()
        if step.is_offered(person)
    ]


@require_http_methods(["GET", "HEAD", "POST"])
def step_view(request: HttpRequest, object_id: str, step: str, model_admin: Any) -> HttpResponse:
    person = StaffUser.objects.filter(pk=as_uuid_or_text(object_id)).first()
    chosen = STEPS.get(step)
    if person is None or chosen is None or not model_admin.may_help(request, person):
        raise PermissionDenied
    form = ReasonForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        chosen.run(
            person=person,
            actor=actor_of(request),
            reason=form.cleaned_data["reason"],
        )
        messages.success(request, str(chosen.done))
        return HttpResponseRedirect(admin_url("accounts_staffuser_change", person.pk))
    context = {
        "title": f"{chosen.title}：{person.get_full_name() or person.username}",
        "original": person,
        "form": form,
        "step": chosen,
        "back": admin_url("accounts_staffuser_change", person.pk),
    }
    return page(request, model_admin, "staff/step.html", context)
