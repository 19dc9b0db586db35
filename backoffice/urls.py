"""The staff admin, the documentation, the figures, and where who knows only the host lands."""

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from backoffice.metrics import metrics
from backoffice.views import ApiDocs, api_schema

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    path("metrics", metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("api/schema/", api_schema, name="api-schema"),
    path("api/docs/", ApiDocs.as_view(url_name="api-schema"), name="api-docs"),
]
