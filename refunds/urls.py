from django.urls import path

from refunds.views import RefundBulkViewSet, RefundViewSet, StatisticsViewSet

urlpatterns = [
    path("refunds", RefundViewSet.as_view({"post": "create", "get": "list"})),
    path("refunds/<str:refund_id>", RefundViewSet.as_view({"get": "retrieve"})),
    path("refunds/<str:refund_id>/withdraw", RefundViewSet.as_view({"put": "withdraw"})),
    path("admin/refunds/<str:refund_id>/review", RefundViewSet.as_view({"put": "review"})),
    path("admin/refunds/bulk", RefundBulkViewSet.as_view({"post": "create"})),
    path("admin/refunds/bulk/<str:bulk_id>", RefundBulkViewSet.as_view({"get": "retrieve"})),
    path("admin/refunds/bulk/<str:bulk_id>/review", RefundBulkViewSet.as_view({"put": "review"})),
    *(
        path(f"admin/refunds/bulk/<str:bulk_id>/{step}", RefundBulkViewSet.as_view({"put": step}))
        for step in ("withdraw", "pause", "resume", "end")
    ),
    path("statistics", StatisticsViewSet.as_view({"get": "list"})),
]
