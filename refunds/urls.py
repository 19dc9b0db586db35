from django.urls import path

from refunds.views import RefundViewSet, StatisticsViewSet

urlpatterns = [
    path("refunds", RefundViewSet.as_view({"post": "create", "get": "list"})),
    path("refunds/<str:refund_id>", RefundViewSet.as_view({"get": "retrieve"})),
    path("refunds/<str:refund_id>/withdraw", RefundViewSet.as_view({"put": "withdraw"})),
    path("admin/refunds/<str:refund_id>/review", RefundViewSet.as_view({"put": "review"})),
    path("statistics", StatisticsViewSet.as_view({"get": "list"})),
]
