"""The bases that the rooms' API views stand on."""

import uuid
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, cast

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView
from rest_framework.viewsets import ViewSet

from tcmpay.common.actor import Actor, Role
from tcmpay.common.api.deprecations import deprecation_of
from tcmpay.common.api.exceptions import contract_exception_handler
from tcmpay.common.api.listing import Listing
from tcmpay.common.api.pages import Page, Stretch, page_asked
from tcmpay.common.api.serializers import InputSerializer
from tcmpay.common.errors import DomainError, Forbidden, ObjectNotFound
from tcmpay.common.ids import parse_id

ADMINS = frozenset({Role.ADMIN})
# Who sees everybody's rows; everybody else sees their own.
READERS = ADMINS | {Role.SERVICE}
EVERYONE = READERS | {Role.PATIENT, Role.DOCTOR}
ANYTHING = "*/*"


class HeaderNegotiation(DefaultContentNegotiation):
    """By the Accept header alone: ``?format=`` is one more parameter that we don't know."""

    settings: Any = SimpleNamespace(URL_FORMAT_OVERRIDE=None)

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> tuple[Any, str]:
        # What nearly everybody asks for; comparing media types took a twentieth of a short answer.
        first, *others = renderers
        if request.META.get("HTTP_ACCEPT", ANYTHING) in {ANYTHING, first.media_type}:
            return first, first.media_type
        chosen: tuple[Any, str] = super().select_renderer(request, (first, *others), format_suffix)
        return chosen


class RolePermission(BasePermission):
    """Lets through the roles that the view's ``roles`` name for the running action."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.user is None or not request.user.is_authenticated:
            return False
        return actor_of(request).role in view.roles_for(view.action)


class ContractViewSet(ViewSet):
    """A door: parses, asks a service or selector, presents. ``roles`` is data: action → roles."""

    permission_classes: Sequence[Any] = (RolePermission,)
    content_negotiation_class = HeaderNegotiation
    # Without OPTIONS: DRF would answer it in a shape of its own.
    http_method_names = ["get", "post", "put", "patch", "delete", "head"]
    roles: ClassVar[dict[str, frozenset[Role]]] = {}

    def roles_for(self, action: str | None) -> frozenset[Role]:
        # None for a method that the route doesn't have, "metadata" for OPTIONS: let DRF answer 405.
        return self.roles[action] if action not in (None, "metadata") else frozenset(Role)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A body that can't be read is refused, also where none is asked for."""
        super().initial(request, *args, **kwargs)
        if request.method not in SAFE_METHODS:
            request.data  # noqa: B018 - reading it parses it

    def get_exception_handler(self) -> Any:
        return contract_exception_handler

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if going := deprecation_of(request):
            for name, value in going.headers.items():
                before = answer.headers.get(name)
                answer.headers[name] = f"{before}, {value}" if before else value
        return answer


class PublicView(APIView):
    """A view that needs no token and looks at none."""

    authentication_classes = ()
    permission_classes = ()
    content_negotiation_class = HeaderNegotiation
    http_method_names = ContractViewSet.http_method_names


def actor_of(request: Request) -> Actor:
    return cast(Actor, request.user)


def path_id(text: str, *, missing: type[DomainError] = ObjectNotFound) -> uuid.UUID:
    """The UUID in a path; anything else is an object that does not exist."""
    try:
        return parse_id(text)
    except ValueError as error:
        raise missing() from error


def ensure_may_see(actor: Actor, user_id: object) -> None:
    """Let the owner and readers through. Raises Forbidden."""
    if actor.role not in READERS and not actor.owns(user_id):
        raise Forbidden()


def own_query(request: Request, query_input: type[InputSerializer]) -> dict[str, Any]:
    """The query string, with the user whose rows are shown as ``user_id``: None is everybody's.

    Raises InvalidInput, Forbidden.
    """
    query = query_input.parse_query(request)
    query["user_id"] = _owner(actor_of(request), query.get("user_id"))
    return query


def own_page(
    request: Request,
    query_input: type[InputSerializer],
    listing: Listing,
) -> Page | Stretch:
    """The page of ``listing`` that the query string asks for. Raises as ``own_query``."""
    query = own_query(request, query_input)
    asked = page_asked(query)
    return listing.take(query, asked)


def _owner(actor: Actor, asked: uuid.UUID | None) -> uuid.UUID | None:
    if actor.role in READERS:
        return asked
    if asked is not None and not actor.owns(asked):
        raise Forbidden()
    return actor.id
