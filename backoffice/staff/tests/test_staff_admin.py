"""Who may do what to whose account, and that every deed has its reason in the audit trail."""

import re

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from tcmpay.accounts.models import SignIn, StaffUser, TotpDevice
from tcmpay.accounts.roles import ROLES
from tcmpay.audit.models import AuditEvent

pytestmark = pytest.mark.django_db
PASSWORD = "tests-only-Passw0rd"


def someone(role: str = "", username: str = "", **more) -> StaffUser:
    person = StaffUser.objects.create_user(
        username or role, password=PASSWORD, is_staff=True, **more
    )
    if role:
        person.groups.set([Group.objects.get(name=role)])
    return person


def browser_of(person: StaffUser) -> Client:
    client = Client()
    client.force_login(person)
    return client


def change_page(person: StaffUser) -> str:
    return reverse("admin:accounts_staffuser_change", args=[person.pk])


def form_of(person: StaffUser, **changes) -> dict:
    return {
        "username": person.username,
        "last_name": person.last_name,
        "first_name": person.first_name,
        "email": person.email,
        "is_active": "on",
        "is_staff": "on",
        "groups": [group.pk for group in person.groups.all()],
        "reason": "入职",
        **changes,
    }


@pytest.fixture
def administrator() -> StaffUser:
    return someone("administrator")


def test_there_are_six_roles_and_the_auditor_changes_nothing():
    assert set(ROLES) == set(Group.objects.values_list("name", flat=True))
    assert len(ROLES) == 6
    verbs = {name.partition(".")[2].partition("_")[0] for name in ROLES["auditor"]}
    assert verbs <= {"view", "verify", "export", "download"}
    seen = {name for names in ROLES.values() for name in names if ".view_" in name}
    assert seen == {name for name in ROLES["auditor"] if ".view_" in name}


def test_a_new_account_needs_a_reason_and_a_new_password(administrator):
    client = browser_of(administrator)
    form = {
        "username": "newcomer",
        "password1": PASSWORD,
        "password2": PASSWORD,
        "is_staff": "on",
        "groups": [Group.objects.get(name="reviewer").pk],
    }
    assert client.post(reverse("admin:accounts_staffuser_add"), form).status_code == 200
    assert not StaffUser.objects.filter(username="newcomer").exists()
    client.post(reverse("admin:accounts_staffuser_add"), {**form, "reason": "新同事"})
    person = StaffUser.objects.get(username="newcomer")
    assert person.must_change_password
    event = AuditEvent.objects.get(object_id=str(person.pk), action="staff_created")
    assert (event.reason, event.actor_id) == ("新同事", administrator.pk)
    # The first page is that of a new password, whatever was asked for.
    answer = browser_of(person).get(reverse("admin:refunds_refund_changelist"))
    assert answer.url == reverse("staff-password")


def test_a_role_that_may_more_than_the_giver_is_not_given(administrator):
    powerful = Group.objects.create(name="everything")
    from django.contrib.auth.models import Permission

    powerful.permissions.set(Permission.objects.filter(codename="delete_session"))
    person = someone("finance")
    answer = browser_of(administrator).post(
        change_page(person), form_of(person, groups=[powerful.pk])
    )
    assert "不能分配权限超出您自己的角色" in answer.content.decode()
    assert not person.groups.filter(name="everything").exists()


def test_nobody_raises_their_own_rights(administrator):
    client = browser_of(administrator)
    client.post(change_page(administrator), form_of(administrator, groups=[], is_superuser="on"))
    administrator.refresh_from_db()
    assert not administrator.is_superuser
    assert administrator.groups.count() == 1


def test_nobody_touches_a_more_powerful_account(administrator):
    chief = someone(username="chief", is_superuser=True)
    client = browser_of(administrator)
    page = reverse("admin:auth_user_password_change", args=[chief.pk])
    form = {"password1": "another-Passw0rd", "password2": "another-Passw0rd", "reason": "x"}
    assert client.post(page, form).status_code == 403
    for step in ("reset-second-factor", "end-sessions", "unlock"):
        page = reverse("admin:accounts_staffuser_step", args=[chief.pk, step])
        assert client.post(page, {"reason": "x"}).status_code == 403
    client.post(change_page(chief), form_of(chief, is_active=""))
    chief.refresh_from_db()
    assert chief.is_active
    assert chief.check_password(PASSWORD)


@pytest.mark.parametrize("change", [{"is_active": ""}, {"groups": []}])
def test_a_change_of_rights_ends_the_sessions(administrator, change):
    person = someone("reviewer")
    theirs = browser_of(person)
    assert theirs.get(reverse("admin:index")).status_code == 200
    browser_of(administrator).post(change_page(person), form_of(person, **change))
    assert theirs.get(reverse("admin:index")).status_code == 302
    event = AuditEvent.objects.get(object_id=str(person.pk), action="staff_changed")
    assert event.reason == "入职"


def test_a_change_without_a_reason_is_refused(administrator):
    person = someone("reviewer")
    browser_of(administrator).post(change_page(person), form_of(person, reason=" ", groups=[]))
    assert person.groups.count() == 1


def test_a_password_set_by_somebody_else_has_to_be_changed(administrator):
    person = someone("reviewer")
    theirs = browser_of(person)
    page = reverse("admin:auth_user_password_change", args=[person.pk])
    form = {"password1": "another-Passw0rd", "password2": "another-Passw0rd", "reason": "忘记密码"}
    theirs_to_do = browser_of(administrator)
    theirs_to_do.post(page, {"password1": "", "password2": "", "reason": "x"})
    theirs_to_do.post(page, {**form, "usable_password": "false", "reason": ""})
    person.refresh_from_db()
    assert person.check_password(PASSWORD)
    theirs_to_do.post(page, form)
    person.refresh_from_db()
    assert person.check_password("another-Passw0rd")
    assert person.must_change_password
    assert theirs.get(reverse("admin:index")).status_code == 302  # the old session is over
    event = AuditEvent.objects.get(action="staff_password_set")
    assert (event.reason, event.object_id) == ("忘记密码", str(person.pk))
    own = browser_of(person)
    new = {"old_password": "another-Passw0rd", "new_password1": "third-Passw0rd-x"}
    own.post(reverse("staff-password"), {**new, "new_password2": new["new_password1"]})
    assert own.get(reverse("admin:index")).status_code == 200
    assert AuditEvent.objects.filter(action="staff_own_password_set").count() == 1


def test_steps_need_a_reason_and_are_written_down(administrator):
    person = someone("reviewer")
    TotpDevice.objects.create(user=person, name="app", sealed_key="enc:1:x")
    client = browser_of(administrator)
    page = reverse("admin:accounts_staffuser_step", args=[person.pk, "reset-second-factor"])
    assert client.get(page).status_code == 200
    assert client.post(page, {"reason": ""}).status_code == 200
    assert TotpDevice.objects.exists()
    client.post(page, {"reason": "手机丢失，已电话核实"})
    assert not TotpDevice.objects.exists()
    event = AuditEvent.objects.get(action="staff_second_factor_reset")
    assert (event.reason, event.actor_id) == ("手机丢失，已电话核实", administrator.pk)


def test_one_does_not_reset_oneself(administrator):
    page = reverse("admin:accounts_staffuser_step", args=[administrator.pk, "end-sessions"])
    assert browser_of(administrator).post(page, {"reason": "x"}).status_code == 403


@pytest.mark.parametrize(
    ("role", "status"),
    [("auditor", 200), ("administrator", 200), ("finance", 403), ("reviewer", 403)],
)
def test_who_reads_the_log_of_sign_ins(role, status):
    person = someone(role)
    client = browser_of(person)
    assert client.get(reverse("admin:accounts_signin_changelist")).status_code == status
    if status == 200:
        row = SignIn.objects.get()
        page = reverse("admin:accounts_signin_change", args=[row.pk])
        assert "登录成功" in client.get(page).content.decode()
        listed = client.get(reverse("admin:accounts_signin_changelist"), {"outcome": "failed"})
        assert str(row.pk) not in listed.content.decode()


def test_the_auditor_reads_staff_and_changes_nobody():
    person, auditor = someone("reviewer"), someone("auditor")
    client = browser_of(auditor)
    page = client.get(change_page(person)).content.decode()
    assert "reviewer" in page
    assert person.password not in page
    assert "md5$" not in page
    assert not re.search(r'name="(is_active|groups|reason)"', page)
    assert client.post(change_page(person), form_of(person, groups=[])).status_code == 403
    assert client.get(reverse("admin:accounts_staffuser_add")).status_code == 403


def test_the_form_of_a_new_account_is_that_of_somebody_who_signs_in(administrator):
    answer = browser_of(administrator).get(reverse("admin:accounts_staffuser_add"))
    page = answer.content.decode()
    field = answer.context["adminform"].form["is_staff"]
    assert field.label == "可登录后台"
    assert field.value() is True
    assert "请在本页一并选好角色" in page
    assert "创建员工后" not in page


def test_a_full_name_is_written_as_in_chinese():
    assert StaffUser(last_name="刘", first_name="新").get_full_name() == "刘新"
    assert StaffUser(username="x").get_full_name() == ""
