"""Signing in as staff do it: password, authenticator, recovery codes, lock-out, sessions."""

import re

import pytest
from django.utils import timezone
from django_otp.oath import TOTP

from tcmpay.accounts.models import RecoveryCode, SignIn, StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import enrolment_begin, enrolment_confirm
from tcmpay.audit.models import AuditEvent
from tests.browser.conftest import PASSWORD
from tests.browser.kit import follow

WRONG = "用户名、密码或验证码不正确。"


def code_now(key: bytes, *, steps: int = 0) -> str:
    totp = TOTP(key)
    totp.time = timezone.now().timestamp() + 30 * steps
    return f"{totp.token():06d}"


def fill(page, desk, username, password=PASSWORD, code=""):
    page.goto(desk.url("admin:login"))
    page.get_by_label("用户名").fill(username)
    page.get_by_label("密码").fill(password)
    page.get_by_label("验证码").fill(code)
    follow(page.get_by_role("button", name="登录"))


@pytest.fixture
def enrolled(staff) -> tuple[StaffUser, bytes, list[str]]:
    person = staff("reviewer")
    device = enrolment_begin(person)
    codes = enrolment_confirm(person=person, code=code_now(device.key(), steps=-1))
    return StaffUser.objects.get(pk=person.pk), device.key(), codes


def test_a_password_alone_is_enough_where_no_second_factor_is_asked(desk, staff, settings):
    settings.STAFF_TOTP_REQUIRED = False
    staff("finance")
    page = desk.open()
    fill(page, desk, "finance")
    assert page.url == desk.url("admin:index")
    assert list(SignIn.objects.values_list("outcome", "cause", "username")) == [
        ("succeeded", "password", "finance")
    ]


def test_the_first_sign_in_binds_an_authenticator_before_anything_else(desk, staff, settings):
    settings.STAFF_TOTP_REQUIRED = True
    person = staff("reviewer")
    page = desk.open()
    fill(page, desk, "reviewer")
    assert page.url == desk.url("staff-second-factor-bind")
    page.goto(desk.url("admin:refunds_refund_changelist"))
    assert page.url == desk.url("staff-second-factor-bind")
    desk.look(page, "bind")
    key = TotpDevice.objects.get(user=person).key()
    assert page.locator(".tcm-qr svg").count() == 1
    page.get_by_label("验证码").fill("000000")
    follow(page.get_by_role("button", name="绑定"))
    assert "验证码不正确" in page.inner_text("main, #main, body")
    TotpDevice.objects.update(throttling_failure_count=0)
    page.get_by_label("验证码").fill(code_now(key))
    follow(page.get_by_role("button", name="绑定"))
    codes = page.locator(".tcm-codes li").all_inner_texts()
    assert len(codes) == 10
    desk.look(page, "recovery-codes")
    follow(page.get_by_role("link", name="已保存，进入后台"))
    assert page.url == desk.url("admin:index")
    # Shown once, and nowhere else.
    page.goto(desk.url("staff-account"))
    assert not any(code in page.content() for code in codes)
    desk.look(page, "account")
    assert RecoveryCode.objects.filter(user=person).count() == 10


def test_a_code_is_asked_for_and_good_once(desk, enrolled):
    _person, key, _codes = enrolled
    page = desk.open()
    fill(page, desk, "reviewer")
    assert WRONG in page.inner_text("body")
    TotpDevice.objects.update(throttling_failure_count=0)
    code = code_now(key)
    fill(page, desk, "reviewer", code=code)
    assert page.url == desk.url("admin:index")
    again = desk.open()
    fill(again, desk, "reviewer", code=code)
    assert WRONG in again.inner_text("body")


def test_a_recovery_code_replaces_a_lost_phone_once(desk, enrolled):
    person, _key, codes = enrolled
    page = desk.open()
    fill(page, desk, "reviewer", code=codes[0].lower().replace("-", " "))
    assert page.url == desk.url("admin:index")
    again = desk.open()
    fill(again, desk, "reviewer", code=codes[0])
    assert WRONG in again.inner_text("body")
    event = AuditEvent.objects.get(action="staff_recovery_code_used")
    assert (event.object_id, event.details) == (str(person.pk), {"left": 9})


def test_five_wrong_passwords_lock_and_say_how_long(desk, staff):
    person = staff("reviewer")
    page = desk.open()
    page.goto(desk.url("admin:login"))
    desk.look(page, "login")
    with desk.watch.allowing("429"):
        for _attempt in range(4):
            fill(page, desk, "reviewer", password="wrong-password-1")
            assert WRONG in page.inner_text("body")
        fill(page, desk, "reviewer", password="wrong-password-1")
        text = page.inner_text("[role=alert]")
        assert re.search(r"已暂时锁定，请在 15 分钟后再试", text), text
        desk.look(page, "locked")
        fill(page, desk, "reviewer")  # the right one is not looked at any more
        assert "已暂时锁定" in page.inner_text("[role=alert]")
    assert (
        AuditEvent.objects.filter(object_id=str(person.pk), action="staff_locked_out").count() == 1
    )
    assert SignIn.objects.filter(outcome="locked").count() == 1


def test_an_unknown_name_is_answered_like_a_known_one(desk, staff):
    staff("reviewer")
    page = desk.open()
    texts = []
    for name in ("reviewer", "nobody"):
        with desk.watch.allowing("429"):
            for _attempt in range(5):
                fill(page, desk, name, password="wrong-password-1")
                texts.append(page.inner_text("[role=alert]"))
    assert texts[:5] == texts[5:]


def test_signing_out_everywhere_ends_the_other_window(desk, staff):
    person = staff("reviewer")
    here, there = desk.open(as_=person), desk.open(as_=person)
    here.goto(desk.url("staff-account"))
    here.get_by_label("当前密码").fill(PASSWORD)
    follow(here.get_by_role("button", name="退出其他所有设备"))
    assert "已退出其他所有设备" in here.inner_text("body")
    there.reload()
    assert there.url.startswith(desk.url("admin:login"))
    here.reload()
    assert here.url == desk.url("staff-account")


def test_an_idle_session_ends_and_comes_back_to_the_page(desk, staff, settings, monkeypatch):
    page = desk.open(as_=staff("reviewer"))
    page.goto(desk.url("staff-account"))
    import time

    later = time.time() + settings.STAFF_IDLE_MINUTES * 60 + 1
    monkeypatch.setattr("tcmpay.accounts.middleware.time.time", lambda: later)
    page.reload()
    assert page.url.startswith(desk.url("admin:login"))
    assert "长时间没有操作" in page.inner_text("body")
    page.get_by_label("用户名").fill("reviewer")
    page.get_by_label("密码").fill(PASSWORD)
    follow(page.get_by_role("button", name="登录"))
    assert page.url == desk.url("staff-account")
