"""The queue of refunds that wait: oldest first, in two steps, several selectable for a batch."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from backoffice.refunds.facts import facts_of_many
from backoffice.site.bases import BoundedPaginator, ensure_may, page
from payments.states import PaymentMethod
from refunds.models import Refund, RefundApproval
from refunds.permissions import REVIEW_PERMISSION
from refunds.states import RefundStatus

PAGE_SIZE = 50
SEE_PERMISSION = "refunds.view_refund"
FIRST, SECOND = "first", "second"


@require_safe
def queue_view(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Who may see refunds sees the queue; who may review them has the buttons."""
    ensure_may(request, SEE_PERMISSION)
    step = SECOND if request.GET.get("step") == SECOND else FIRST
    method = request.GET.get("method", "")
    method = method if method in PaymentMethod.values else ""
    shown = BoundedPaginator(_waiting(step, method), PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "title": _("退款审核"),
        "original": _("退款审核"),  # the last step of the breadcrumbs
        "rows": facts_of_many(list(shown.object_list), request.user),
        "page": shown,
        "tabs": [_tab(FIRST, _("待审核"), step, method), _tab(SECOND, _("待二审"), step, method)],
        "step": step,
        "method": method,
        "methods": PaymentMethod.choices,
        "may_review": request.user.has_perm(REVIEW_PERMISSION),
    }
    return page(request, model_admin, "refunds/queue.html", context)


def _tab(step: str, title: str, current: str, method: str) -> dict[str, Any]:
    query = {"step": step, **({"method": method} if method else {})}
    count = BoundedPaginator(_waiting(step, method), PAGE_SIZE).count
    return {
        "title": title,
        "count": count,
        "url": f"{reverse('admin:refunds_refund_queue')}?{urlencode(query)}",
        "is_current": step == current,
    }


def _waiting(step: str, method: str) -> QuerySet[Refund]:
    """Those nobody has approved yet, or those that wait for a second person; oldest first."""
    approvals = RefundApproval.objects.filter(refund_id=OuterRef("pk"))
    refunds = Refund.objects.filter(
        Exists(approvals) if step == SECOND else ~Exists(approvals), status=RefundStatus.PENDING
    )
    if method:
        refunds = refunds.filter(transaction__payment_method=method)
    return refunds.select_related("order", "transaction").order_by("created_at", "id")
