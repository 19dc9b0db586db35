from typing import Any, NoReturn

from rest_framework.request import Request

from tcmpay.common.api.views import PublicView
from tcmpay.common.errors import ObjectNotFound


class MissingView(PublicView):
    """Any address under the API that is not one of ours: 404, whatever the method."""

    schema = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        self.check_throttles(request)
        raise ObjectNotFound()


missing = MissingView.as_view()
