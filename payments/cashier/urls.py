"""Below /pay/: the page of a link, and the few things that it asks for."""

from django.urls import path, re_path

from payments.cashier import views

urlpatterns = [
    path("<str:token>", views.page, name="cashier"),
    path("<str:token>/start", views.start, name="cashier-start"),
    path("<str:token>/back", views.back, name="cashier-back"),
    path("<str:token>/status", views.status, name="cashier-status"),
    re_path(r"^", views.missing, name="cashier-missing"),
]
