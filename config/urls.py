from django.urls import path

from config.gateways.views import GatewayConfigViewSet
from config.prices.views import PriceAdminViewSet, PriceViewSet

urlpatterns = [
    path("prices", PriceViewSet.as_view({"get": "list"})),
    path("prices/<str:service_type>", PriceViewSet.as_view({"get": "retrieve"})),
    path("admin/prices/<str:service_type>", PriceAdminViewSet.as_view({"put": "update"})),
    path(
        "admin/config/<str:method>",
        GatewayConfigViewSet.as_view({"get": "retrieve", "put": "update"}),
    ),
]
