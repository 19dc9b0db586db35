"""Pages of the back office that are not the admin's: the API's documentation, offline."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

# Read by whoever builds against the API: no token, and no limit that readers could use up.
api_schema = SpectacularAPIView.as_view(throttle_classes=())


class ApiDocs(SpectacularSwaggerSplitView):
    """Swagger UI from our own files. The page's script is a file too, so no inline script runs."""

    throttle_classes = ()
