"""The rows of a list as its filters leave them, for what is done with all of them."""

from typing import Any

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.messages.api import MessageFailure
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext as _

from backoffice.site.admin_site import staff_site


class FilterUnusable(Exception):
    """The filters can't be read; the message says what to do."""


def rows_as_filtered(
    person: Any, page: str, query: str, *, using: str = "default"
) -> QuerySet[Any]:
    """The rows that ``person`` sees in the list ``page`` under the filters of ``query``.

    Raises FilterUnusable. PermissionDenied: they don't see that list.
    """
    model_admin = staff_site.page_admin(page)
    request = HttpRequest()
    request.method, request.user = "GET", person
    request.GET = QueryDict(query)
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    try:
        changes = model_admin.get_changelist_instance(request)
        rows: QuerySet[Any] = changes.get_queryset(request)
    except (IncorrectLookupParameters, SuspiciousOperation, MessageFailure) as error:
        # A message is what the list answers to a search term that can't be one.
        raise FilterUnusable(_("筛选条件有误，请回到列表重新筛选。")) from error
    return rows.using(using)
