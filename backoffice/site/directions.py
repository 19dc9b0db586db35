"""Pages on which nothing that somebody wrote can turn round the text beside it."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from backoffice.site.display import DIRECTIONS, directions_shown


class DirectionsShownMiddleware:
    """Spells out, on every page, the characters that change the direction of reading.

    Here and not where each text is shown: no page of ours has use for such a character, and
    none that is added later can forget it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        is_page = response.headers.get("Content-Type", "").startswith("text/html")
        if not is_page or response.streaming:
            return response
        text = response.content.decode(response.charset)
        if DIRECTIONS.search(text):
            response.content = directions_shown(text).encode(response.charset)
        return response
