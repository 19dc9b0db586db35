"""The staff admin, the API's documentation, and where somebody lands who knows only the host."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from backoffice.views import ApiDocs, api_schema

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="root"),
    path("admin", RedirectView.as_view(pattern_name="admin:index", query_string=True)),
    path("admin/", include("tcmpay.accounts.urls")),
    path("admin/", admin.site.urls),
    path("api/schema/", api_schema, name="api-schema"),
    path("api/docs/", ApiDocs.as_view(url_name="api-schema"), name="api-docs"),
]
