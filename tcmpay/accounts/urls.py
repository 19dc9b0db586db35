"""One's own account, inside the admin: before the admin's addresses, one of which it takes."""

from django.urls import path

from tcmpay.accounts import views

urlpatterns = [
    path("password_change/", views.own_password, name="staff-password"),
    path("account/", views.account, name="staff-account"),
    path("account/authenticator/", views.bind, name="staff-second-factor-bind"),
    path("account/recovery-codes/", views.codes, name="staff-recovery-codes"),
    path("account/sign-out/", views.sign_out_everywhere, name="staff-sign-out-everywhere"),
]
