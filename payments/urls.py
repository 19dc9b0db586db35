from django.urls import path

from payments.views import OrderViewSet, PayViewSet, TopUpViewSet

urlpatterns = [
    path("orders", OrderViewSet.as_view({"post": "create", "get": "list"})),
    path("orders/<str:order_id>", OrderViewSet.as_view({"get": "retrieve"})),
    path("orders/<str:order_id>/qr.svg", OrderViewSet.as_view({"get": "qr"})),
    path("orders/<str:order_id>/cancel", OrderViewSet.as_view({"put": "cancel"})),
    path("orders/<str:order_id>/sync", OrderViewSet.as_view({"post": "sync"})),
    path("balance/<str:user_id>/topups", TopUpViewSet.as_view({"post": "create"})),
    path("orders/<str:order_id>/cashier", OrderViewSet.as_view({"post": "cashier"})),
    path("pay", PayViewSet.as_view({"post": "pay"})),
]
