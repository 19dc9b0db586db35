"""In an open window the password is not guessed either: not by any form, not by any answer."""

import pytest
from django.test import Client
from django.urls import reverse

from tcmpay.accounts.models import StaffUser

pytestmark = pytest.mark.django_db
PASSWORD = "tests-only-Passw0rd"
FRESH = "tests-only-Lotus-41"
TOO_OFTEN = "密码输入次数过多，请在 15 分钟后再试。"
SAME = "新密码不能与当前密码相同"


@pytest.fixture
def person() -> StaffUser:
    return StaffUser.objects.create_user("reviewer", password=PASSWORD, is_staff=True)


@pytest.fixture
def window(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def change(window: Client, old: str, new: str = FRESH):
    form = {"old_password": old, "new_password1": new, "new_password2": new}
    return window.post(reverse("staff-password"), form)


def sign_out(window: Client, password: str) -> str:
    address = reverse("staff-sign-out-everywhere")
    return window.post(address, {"password": password}, follow=True).content.decode()


def test_after_five_wrong_ones_a_new_password_has_to_wait(window, person):
    for number in range(5):
        assert TOO_OFTEN not in change(window, f"wrong-{number}").content.decode()
    assert TOO_OFTEN in change(window, PASSWORD).content.decode()
    person.refresh_from_db()
    assert person.check_password(PASSWORD)


def test_after_five_wrong_ones_signing_out_has_to_wait_and_from_every_window(window, person):
    for number in range(5):
        assert "密码不正确" in sign_out(window, f"wrong-{number}")
    other = Client(REMOTE_ADDR="203.0.113.9")
    other.force_login(person)
    assert TOO_OFTEN in sign_out(other, PASSWORD)
    assert TOO_OFTEN in change(other, PASSWORD).content.decode()


def test_four_wrong_ones_do_no_harm(window, person):
    for number in range(4):
        change(window, f"wrong-{number}")
    assert change(window, PASSWORD).status_code == 302
    person.refresh_from_db()
    assert person.check_password(FRESH)


def test_a_new_password_that_is_the_former_one_tells_nothing_to_who_does_not_know_it(window):
    assert SAME not in change(window, "wrong", new=PASSWORD).content.decode()
    assert SAME in change(window, PASSWORD, new=PASSWORD).content.decode()
