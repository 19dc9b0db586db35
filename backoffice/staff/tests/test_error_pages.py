"""What staff see when something is refused or missing: their language, and what to do."""

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from tcmpay.accounts.models import StaffUser

pytestmark = pytest.mark.django_db


@pytest.fixture
def client() -> Client:
    person = StaffUser.objects.create_user("finance", is_staff=True)
    person.groups.set([Group.objects.get(name="finance")])
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(person)
    return client


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [("/admin/accounts/staffuser/", 403, "没有权限"), ("/nowhere/", 404, "页面不存在")],
)
def test_a_refusal_is_said_in_chinese(client, path, status, text):
    answer = client.get(path)
    assert (answer.status_code, text in answer.content.decode()) == (status, True)
    assert "Forbidden" not in answer.content.decode()


def test_an_expired_form_says_what_to_do(client):
    answer = client.post("/admin/logout/")
    assert answer.status_code == 403
    assert "页面已过期" in answer.content.decode()


def test_a_fault_of_ours_shows_no_detail(client, monkeypatch):
    def fails(*args, **kwargs):
        raise RuntimeError("the cause")

    monkeypatch.setattr("backoffice.staff.account.device_of", fails)
    answer = client.get("/admin/account/")
    assert answer.status_code == 500
    assert "系统内部错误" in answer.content.decode()
    assert "the cause" not in answer.content.decode()
