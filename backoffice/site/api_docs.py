"""Pages of the back office that are not the admin's: the API's documentation, offline."""

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import get_language, override
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backoffice.site.api_examples import examples_that_exist
from tcmpay.common.api.renderers import FastJSONRenderer


class OnlyRead(APIView):
    """Refuses every other method, and tells each refusal in JSON, whatever form was asked for.

    Also OPTIONS, which DRF would answer in a shape of its own or with a template that nobody wrote.
    """

    http_method_names = ["get", "head"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(response, Response) and response.exception:
            request.accepted_renderer = FastJSONRenderer()
            request.accepted_media_type = FastJSONRenderer.media_type
        return super().finalize_response(request, response, *args, **kwargs)


class ApiSchema(OnlyRead, SpectacularAPIView):
    """Made once by each process in each language and form, and then handed out.

    Anybody may read it, and making it costs as much as a hundred other answers.
    """

    _made: ClassVar[dict[tuple[str, str], bytes]] = {}

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        asked = request.GET.get("lang", "")
        language = asked if asked in dict(settings.LANGUAGES) else get_language()
        renderer: Any = request.accepted_renderer
        key = (language or settings.LANGUAGE_CODE, renderer.format)
        if key not in self._made:
            with override(key[0]):
                schema = self.generator_class().get_schema(request=request, public=True)
                self._made[key] = renderer.render(schema, renderer.media_type, {})
        content = examples_that_exist(self._made[key]) if settings.DEBUG else self._made[key]
        return HttpResponse(content, content_type=renderer.media_type)


api_schema = ApiSchema.as_view()


class ApiDocs(OnlyRead, SpectacularSwaggerSplitView):
    """Swagger UI from our own files. The page's script is a file too, so no inline script runs."""
