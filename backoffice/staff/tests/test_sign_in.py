"""The sign-in page without a browser: what it answers, writes down, and does not tell."""

from datetime import timedelta

import pytest
from django.conf import global_settings
from django.contrib.auth.hashers import MD5PasswordHasher
from django.test import Client
from django.urls import reverse

from tcmpay import settings as product
from tcmpay.accounts.lockout import address_of, counted_address
from tcmpay.accounts.models import SignIn, StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import enrolment_begin
from tcmpay.accounts.services.staff import SIGN_INS_KEPT_FOR, sign_ins_purge
from tcmpay.common import clock

pytestmark = pytest.mark.django_db
PASSWORD = "tests-only-Passw0rd"
WRONG = "用户名、密码或验证码不正确。"
LOGIN = "/admin/login/"


@pytest.fixture
def person() -> StaffUser:
    return StaffUser.objects.create_user("reviewer", password=PASSWORD, is_staff=True)


def sign_in(username="reviewer", password=PASSWORD, code="", client=None, **more):
    form = {"username": username, "password": password, "code": code}
    return (client or Client()).post(LOGIN, form, **more)


def bind(person: StaffUser) -> None:
    device = enrolment_begin(person)
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)


def test_every_refusal_reads_the_same(person):
    StaffUser.objects.create_user("outsider", password=PASSWORD)  # no member of staff
    StaffUser.objects.create_user("left", password=PASSWORD, is_staff=True, is_active=False)
    StaffUser.objects.create_user("bound", password=PASSWORD, is_staff=True)
    bind(StaffUser.objects.get(username="bound"))
    answers = [
        sign_in("reviewer", "wrong-password-1"),
        sign_in("nobody", "wrong-password-1"),
        sign_in("outsider"),
        sign_in("left"),
        sign_in("bound"),
        sign_in("bound", code="123456"),
        sign_in("bound", code="AAAA-BBBB-CCCC-DDDD"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert WRONG in answer.content.decode()
    causes = list(SignIn.objects.order_by("created_at", "id").values_list("cause", flat=True))
    assert sorted(causes) == ["code"] * 3 + ["not_staff"] + ["password"] * 3


def test_the_password_is_hashed_whether_the_account_exists_or_not(person, monkeypatch):
    """So both take the time that a hash takes; the work is compared, not the clock."""
    hashed = []
    original = MD5PasswordHasher.encode

    def encode(self, password, salt):
        hashed.append(password)
        return original(self, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", encode)
    sign_in("reviewer", "wrong-password-1")
    known = len(hashed)
    sign_in("nobody", "wrong-password-1")
    assert known == len(hashed) - known == 1


def test_passwords_are_kept_as_django_keeps_them(settings):
    """Only tests hash weakly: the product leaves the choice to Django."""
    assert not hasattr(product, "PASSWORD_HASHERS")
    settings.PASSWORD_HASHERS = global_settings.PASSWORD_HASHERS
    somebody = StaffUser.objects.create_user("strong", password=PASSWORD, is_staff=True)
    assert somebody.password.startswith("pbkdf2_sha256$")
    assert sign_in("strong").status_code == 302


@pytest.mark.parametrize("username", ["reviewer", "nobody"])
def test_the_fifth_failure_locks_that_account_at_that_address_only(person, username):
    for _attempt in range(4):
        assert sign_in(username, "wrong-password-1").status_code == 200
    answer = sign_in(username, "wrong-password-1")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 800
    assert "15 分钟" in answer.content.decode()
    assert sign_in(username).status_code == 429
    if username == "reviewer":
        assert sign_in(username, REMOTE_ADDR="203.0.113.9").status_code == 302


def test_wrong_codes_lock_too(person):
    bind(person)
    for _attempt in range(4):
        assert sign_in(code="000000").status_code == 200
    assert sign_in(code="000000").status_code == 429


def test_many_names_from_one_address_are_slowed_down(person):
    statuses = [sign_in(f"guess{number}", "wrong-password-1").status_code for number in range(61)]
    assert statuses == [200] * 60 + [429]


@pytest.mark.parametrize(
    ("meta", "address"),
    [
        ({"REMOTE_ADDR": "203.0.113.9"}, "203.0.113.9"),
        ({"REMOTE_ADDR": "fe80::1%eth0"}, "fe80::1"),
        ({"REMOTE_ADDR": ""}, "0.0.0.0"),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "<script>"}, "10.0.0.1"),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "1.2.3.4, 5.6.7.8"}, "5.6.7.8"),
    ],
)
def test_the_address_is_an_address_whatever_was_sent(rf, settings, meta, address):
    settings.TRUSTED_PROXY_HOPS = 1
    assert address_of(rf.post(LOGIN, **meta)) == address


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_failures_are_counted_by_network_where_one_has_many_addresses(rf, address, counted):
    assert counted_address(rf.post(LOGIN, REMOTE_ADDR=address)) == counted


def test_other_addresses_of_the_same_network_do_not_let_one_guess_on(person):
    for number in range(5):
        sign_in(password="wrong-password-1", REMOTE_ADDR=f"2001:db8::{number}")
    answer = sign_in(REMOTE_ADDR="2001:db8::9")
    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 800
    assert sign_in(REMOTE_ADDR="2001:db8:0:1::9").status_code == 302
    logged = SignIn.objects.values_list("address", flat=True)
    assert {"2001:db8::1", "2001:db8::4"} <= set(logged), "the log tells the whole address"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"username": "reviewer"},
        {"username": "\x00", "password": "\x00"},
        {"username": "x" * 5000, "password": "y" * 5000, "code": "z" * 5000},
        {"username": "管理员\u202e", "password": "'; DROP TABLE staff_users; --", "code": "\ud7ff"},
    ],
)
def test_odd_forms_are_refused_in_good_order(person, form):
    assert Client().post(LOGIN, form).status_code == 200


def test_next_never_leads_to_another_host(person):
    for target in ("//evil.test/", "https://evil.test/", "/\\evil.test", "javascript:alert(1)"):
        client = Client()
        answer = client.post(LOGIN, {"username": "reviewer", "password": PASSWORD, "next": target})
        assert answer.url == "/admin/"


def test_a_session_bound_elsewhere_meanwhile_has_to_sign_in_with_a_code(person, settings):
    settings.STAFF_TOTP_REQUIRED = True
    client = Client()
    client.force_login(person)
    assert client.get("/admin/").url == reverse("staff-second-factor-bind")
    bind(person)
    assert client.get("/admin/").url == LOGIN
    assert "_auth_user_id" not in client.session


def test_a_session_ends_by_age_however_busy_it_is(person, settings, monkeypatch):
    client = Client()
    client.force_login(person)
    session = client.session
    session["staff_started_at"] -= settings.STAFF_SESSION_HOURS * 3600 + 1
    session.save()
    assert client.get("/admin/").url.startswith(LOGIN)
    assert SignIn.objects.filter(outcome="ended", cause="age").count() == 1


def test_old_lines_are_purged_and_newer_ones_kept(person):
    for days in (-1, 1):
        moment = clock.now() - SIGN_INS_KEPT_FOR + timedelta(days=days)
        SignIn.objects.create(outcome="failed", username="x", created_at=moment)
    assert sign_ins_purge() == 1
    assert SignIn.objects.count() == 1


def test_the_code_to_scan_fits_its_frame(person, client):
    """The page gives it a size of its own: a picture with a fixed one would be cut off there."""
    client.force_login(person)
    page = client.get(reverse("staff-second-factor-bind")).content.decode()
    assert "<svg viewBox=" in page
