"""One version, in tcmpay/version.py, is what the service, its description and its pages tell."""

import re
from pathlib import Path

import pytest
from django.conf import settings

import tcmpay
from tcmpay.accounts.models import StaffUser

VERSION = tcmpay.__version__


def test_a_version_has_three_numbers():
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CHANGELOG.en.md"])
def test_the_newest_change_noted_is_of_this_version(name):
    text = (Path(settings.BASE_DIR) / name).read_text(encoding="utf-8")
    assert re.findall(r"^## (\d+\.\d+\.\d+)", text, re.MULTILINE)[0] == VERSION


@pytest.mark.django_db
def test_the_service_tells_its_version(client):
    assert client.get("/health/live").json()["data"] == {"status": "live", "version": VERSION}
    description = client.get("/api/schema/", HTTP_ACCEPT="application/json").json()
    assert description["info"]["version"] == VERSION


@pytest.mark.django_db
@pytest.mark.parametrize("page", ["", "payments/paymentorder/", "accounts/staffuser/add/"])
def test_the_foot_of_a_page_of_staff_tells_the_version(client, page):
    client.force_login(StaffUser.objects.create_superuser(username="head"))
    assert f"tcmpay {VERSION}</footer>" in client.get(f"/admin/{page}").content.decode()


@pytest.mark.django_db
def test_the_sign_in_page_does_not(client):
    assert "<footer" not in client.get("/admin/login/").content.decode()
