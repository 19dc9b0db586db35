from django.urls import path

from balances.views import BalanceViewSet

urlpatterns = [
    path("balance/<str:user_id>", BalanceViewSet.as_view({"get": "retrieve"})),
    path("balance/<str:user_id>/transactions", BalanceViewSet.as_view({"get": "transactions"})),
]
