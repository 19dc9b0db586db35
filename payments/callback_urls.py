from django.urls import path

from payments.callbacks import callback

urlpatterns = [
    path("callback", callback),
    path("callback/<str:method>", callback),
]
