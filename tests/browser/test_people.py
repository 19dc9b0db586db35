"""Managing staff and checking the chains, as an administrator and an auditor do."""

from django.contrib.auth.models import Group
from django_otp.oath import TOTP

from tcmpay.accounts.models import StaffUser, TotpDevice
from tcmpay.accounts.services.second_factor import enrolment_begin
from tcmpay.audit.models import AuditEvent
from tests.browser.conftest import PASSWORD
from tests.browser.kit import follow


def test_an_administrator_makes_and_switches_off_an_account(desk, staff):
    page = desk.open(as_=staff("administrator", last_name="吴主管"))
    page.goto(desk.url("admin:accounts_staffuser_add"))
    page.locator("#id_username").fill("newcomer")
    page.locator("#id_password1").fill(PASSWORD)
    page.locator("#id_password2").fill(PASSWORD)
    page.locator("#id_is_staff").check()
    page.locator("#id_groups").select_option(str(Group.objects.get(name="reviewer").pk))
    page.locator("#id_reason").fill("新同事入职")
    desk.look(page, "staff-add")
    follow(page.get_by_role("button", name="保存", exact=True))
    person = StaffUser.objects.get(username="newcomer")
    assert person.must_change_password
    page.goto(desk.url("admin:accounts_staffuser_change", person.pk))
    desk.look(page, "staff-change")
    page.locator("#id_is_active").uncheck()
    page.locator("#id_reason").fill("离职")
    follow(page.get_by_role("button", name="保存", exact=True))
    person.refresh_from_db()
    assert not person.is_active
    told = AuditEvent.objects.filter(object_id=str(person.pk)).order_by("version")
    assert list(told.values_list("action", "reason")) == [
        ("staff_created", "新同事入职"),
        ("staff_changed", "离职"),
    ]
    page.goto(desk.url("admin:accounts_staffuser_changelist"))
    desk.look(page, "staff-list")


def test_the_menus_around_the_pages_work_by_keyboard(desk, staff):
    page = desk.open(as_=staff("finance", last_name="赵会计"))
    skip = page.get_by_role("link", name="跳到正文")
    seen = []
    while not skip.evaluate("one => one === document.activeElement"):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 90)"))
        assert len(seen) < 5, seen
    page.keyboard.press("Enter")
    page.wait_for_url("**#content")
    menu = page.get_by_role("button", name="赵会计")
    menu.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="修改密码").wait_for()  # what is hidden takes no focus
    follow(page.get_by_role("link", name="修改密码"), key="Enter")
    page.locator("#id_old_password").wait_for()


def test_an_administrator_resets_a_lost_phone(desk, staff):
    person = staff("reviewer", last_name="林审核")
    device = enrolment_begin(person)
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)
    theirs = desk.open(as_=person)
    page = desk.open(as_=staff("administrator"))
    page.goto(desk.url("admin:accounts_staffuser_change", person.pk))
    follow(page.get_by_role("link", name="重设密码"))
    desk.look(page, "staff-password")
    page.locator("#id_password1").fill("another-Passw0rd")
    page.locator("#id_password2").fill("another-Passw0rd")
    page.get_by_label("原因").fill("忘记密码")
    follow(page.get_by_role("button", name="重设密码"))
    assert AuditEvent.objects.get(action="staff_password_set").reason == "忘记密码"
    page.goto(desk.url("admin:accounts_staffuser_change", person.pk))
    follow(page.get_by_role("link", name="重置身份验证器"))
    desk.look(page, "reset-second-factor")
    page.get_by_label("原因").fill("手机丢失，已电话核实")
    follow(page.get_by_role("button", name="重置身份验证器"))
    page.get_by_text("已重置身份验证器").wait_for()
    assert not TotpDevice.objects.exists()
    theirs.reload()
    assert theirs.url.startswith(desk.url("admin:login"))


def test_a_new_phone_needs_the_old_one(desk, staff):
    person = staff("reviewer")
    device = enrolment_begin(person)
    TotpDevice.objects.filter(pk=device.pk).update(confirmed=True)
    page = desk.open(as_=person)
    page.goto(desk.url("staff-account"))
    follow(page.get_by_role("link", name="更换身份验证器"))
    desk.look(page, "replace")
    new = TotpDevice.objects.get(user=person, confirmed=False)
    codes = page.get_by_label("验证码")
    codes.nth(0).fill(f"{TOTP(device.key()).token():06d}")
    codes.nth(1).fill(f"{TOTP(new.key()).token():06d}")
    follow(page.get_by_role("button", name="绑定"))
    page.get_by_text("请保存恢复码").wait_for()
    assert TotpDevice.objects.get(user=person).pk == new.pk


def test_an_auditor_follows_the_chains_from_the_page(desk, staff):
    auditor = staff("auditor", last_name="周审计")
    person = staff("reviewer")
    administrator = desk.open(as_=staff("administrator"))
    administrator.goto(desk.url("admin:accounts_staffuser_step", person.pk, "end-sessions"))
    administrator.get_by_label("原因").fill("换电脑")
    follow(administrator.get_by_role("button", name="强制退出"))
    administrator.get_by_text("已强制退出").wait_for()

    page = desk.open(as_=auditor)
    page.goto(desk.url("admin:audit_auditevent_changelist"))
    follow(page.get_by_role("link", name="校验链"))
    follow(page.get_by_role("button", name="校验链"))
    assert "全部完好" in page.inner_text("[data-report]")
    desk.look(page, "chain-sound")
    AuditEvent.objects.update(reason="别的原因")
    page.reload()
    assert "已损坏" in page.inner_text("[data-report]")
    desk.look(page, "chain-broken")
    follow(page.get_by_role("link", name="被篡改"))
    assert page.url.startswith(desk.url("admin:audit_auditevent_changelist"))
    follow(page.get_by_role("link", name="校验这个对象的链"))
    assert "已损坏" in page.inner_text("[data-report]")

    page.goto(desk.url("admin:accounts_signin_changelist"))
    desk.look(page, "sign-ins")
    page.goto(desk.url("admin:audit_auditevent_changelist"))
    desk.look(page, "audit-list")


def test_the_pages_of_the_api_keep_their_own_policies(desk):
    page = desk.open()
    answer = page.goto(desk.url("api-docs"))
    assert answer is not None
    assert "unsafe-eval" not in answer.headers["content-security-policy"]
    page.get_by_text("/api/v1/payment/orders").first.wait_for()
    with desk.watch.allowing("401", "404"):
        for path in ("/api/v1/payment/orders", "/api/v1/payment/prices", "/health/live"):
            data = page.goto(desk.origin + path)
            assert data is not None
            assert data.headers["content-security-policy"].startswith("default-src 'none'")
            assert data.headers["cache-control"] == "no-store"
