"""The pages on which staff look after balances: asked for by one, decided by another."""

import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from backoffice.balances.accounts import steps_for
from backoffice.balances.pages import related_text
from balances.adjustments import adjustment_request
from balances.models import BalanceAdjustment, BalanceTransaction, Direction, UserBalance
from balances.services import account_ensure, balance_top_up
from payments.models import PaymentTransaction
from payments.services.attempts import PayCommand, pay
from payments.services.topups import topup_create
from tcmpay.accounts.models import StaffUser
from tcmpay.audit.models import AuditEvent
from tcmpay.common.actor import SYSTEM, Actor, Role
from tcmpay.common.money import format_money
from tests.clinic import report_paid

pytestmark = pytest.mark.django_db
CLERK = Actor(uuid.UUID(int=1), Role.STAFF, "clerk")


@pytest.fixture
def user_id() -> uuid.UUID:
    user_id = uuid.uuid4()
    balance_top_up(user_id=user_id, amount=Decimal("50.00"), reason="开户", actor=SYSTEM)
    return user_id


def balance(user_id: uuid.UUID) -> str:
    return format_money(UserBalance.objects.get(user_id=user_id).balance)


def person(name: str, *codenames: str) -> Client:
    user = StaffUser.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


VIEW = ("view_userbalance", "view_balanceadjustment")
KEEPER = (*VIEW, "open_account", "freeze_balance", "request_adjustment", "adopt_opening")


def address(user_id: uuid.UUID, step: str = "change") -> str:
    account = UserBalance.objects.get(user_id=user_id)
    return f"/admin/balances/userbalance/{account.pk}/{step}/"


def test_a_clerk_asks_and_a_reviewer_approves_in_their_pages(user_id):
    clerk, reviewer = person("clerk", *KEEPER), person("rev", *VIEW, "approve_adjustment")
    form = {
        "form_id": uuid.uuid4(),
        "direction": "income",
        "amount": "12.34",
        "reason": "线下多收",
    }
    assert clerk.post(address(user_id, "adjust"), form).status_code == 302
    assert "没有重复申请" in clerk.post(address(user_id, "adjust"), form).content.decode()
    adjustment = BalanceAdjustment.objects.get()
    review = f"/admin/balances/balanceadjustment/{adjustment.pk}/review/"
    assert clerk.post(review, {"decision": "approve"}).status_code == 403
    shown = reviewer.get(review).content.decode()
    assert "62.34" in shown, "what would be available afterwards"
    assert "请写明原因" in reviewer.post(review, {"decision": "reject"}).content.decode()
    assert reviewer.post(review, {"decision": "approve"}).status_code == 302
    assert balance(user_id) == "62.34"
    late = person("late", *VIEW, "approve_adjustment")
    told = late.post(review, {"decision": "reject", "notes": "x"}, follow=True).content.decode()
    assert "已由rev处理" in told
    assert "线下多收" in clerk.get(address(user_id)).content.decode()


@pytest.mark.parametrize(
    ("direction", "asked", "done"),
    [
        ("income", "已提交增加余额 5.00 元的申请", "已批准，5.00 元已入账。"),
        ("expense", "已提交扣减余额 5.00 元的申请", "已批准，已扣减 5.00 元。"),
    ],
)
def test_the_pages_say_which_way_the_money_goes(user_id, direction, asked, done):
    clerk, reviewer = person("clerk", *KEEPER), person("rev", *VIEW, "approve_adjustment")
    form = {"form_id": uuid.uuid4(), "direction": direction, "amount": "5.00", "reason": "差额"}
    told = clerk.post(address(user_id, "adjust"), form, follow=True).content.decode()
    assert asked in told
    review = f"/admin/balances/balanceadjustment/{BalanceAdjustment.objects.get().pk}/review/"
    told = reviewer.post(review, {"decision": "approve"}, follow=True).content.decode()
    assert done in told


def test_a_deduction_that_does_not_fit_is_marked_and_can_only_be_rejected(user_id):
    adjustment = adjustment_request(
        actor=CLERK,
        request_id=uuid.uuid4(),
        user_id=user_id,
        direction=Direction.DEBIT,
        amount=Decimal("50.01"),
        reason="对账差额",
    )
    reviewer = person("rev", *VIEW, "approve_adjustment")
    review = f"/admin/balances/balanceadjustment/{adjustment.pk}/review/"
    page = reviewer.get(review).content.decode()
    assert 'value="approve" disabled' in page
    assert "可用余额只有 50.00 元，不够扣减" in page
    assert "tcm-bad-text" in page
    balance_top_up(user_id=user_id, amount=Decimal("0.01"), reason="充值", actor=SYSTEM)
    page = reviewer.get(review).content.decode()
    assert 'value="approve" disabled' not in page
    assert "tcm-bad-text" not in page


def test_freeze_unfreeze_and_their_refusals(user_id):
    clerk = person("clerk", *KEEPER)

    def post(step: str, amount: str) -> str:
        form = {"form_id": uuid.uuid4(), "amount": amount, "reason": "投诉核查"}
        return clerk.post(address(user_id, step), form, follow=True).content.decode()

    assert "余额不足" in post("freeze", "50.01")
    assert "金额应大于 0" in post("freeze", "-1")
    assert "已冻结 20.00 元" in post("freeze", "20.00")
    assert balance(user_id) == "30.00"
    assert "冻结余额不足" in post("unfreeze", "20.01")
    assert "已解冻 5.00 元" in post("unfreeze", "5.00")
    assert balance(user_id) == "35.00"


def test_an_account_is_opened_once_and_an_opening_adopted():
    clerk, user_id = person("clerk", *KEEPER), uuid.uuid4()
    form = {"user_id": user_id, "reason": "提前入账"}
    for text in ("已开立余额账户", "没有重复开立"):
        answer = clerk.post("/admin/balances/userbalance/open/", form, follow=True)
        assert text in answer.content.decode()
    opened = AuditEvent.objects.get(action="balance_opened")
    assert (opened.object_id, opened.reason) == (str(user_id), "提前入账")
    UserBalance.objects.filter(user_id=user_id).update(balance=Decimal("9.00"))
    assert "确认期初余额" in clerk.get(address(user_id)).content.decode()
    adopted = clerk.post(address(user_id, "adopt"), {"reason": "旧系统期末余额"}, follow=True)
    assert "已确认期初余额" in adopted.content.decode()
    account = UserBalance.objects.get(user_id=user_id)
    assert account.opening_adopted_at is not None
    steps = clerk.get(address(user_id)).context["steps"]
    assert "adopt" not in " ".join(step["url"] for step in steps)


@pytest.mark.parametrize("step", ["adjust", "freeze", "unfreeze", "adopt"])
def test_each_step_needs_its_permission(user_id, step):
    reader = person("reader", *VIEW)
    assert reader.get(address(user_id)).status_code == 200
    assert reader.get(address(user_id, step)).status_code == 403
    assert reader.post(address(user_id, step), {"reason": "x"}).status_code == 403
    assert reader.get("/admin/balances/userbalance/open/").status_code == 403


def test_a_top_up_leads_to_its_order_where_it_has_one(user_id, settings):
    settings.MOCK_CALLBACKS = settings.TOPUPS = True
    owner = Actor(user_id, Role.PATIENT)
    order = topup_create(actor=owner, user_id=user_id, amount=Decimal("20.00"))
    pay(actor=owner, command=PayCommand(order_id=order.id, payment_method="wechat"))
    report_paid(PaymentTransaction.objects.get(order=order))
    by_hand, paid = BalanceTransaction.objects.filter(user_id=user_id).order_by("sequence")
    assert f"/admin/payments/paymentorder/{order.pk}/" in related_text(paid)
    assert "/admin/" not in related_text(by_hand)


def test_the_ledger_is_paged_without_gaps(user_id, monkeypatch):
    monkeypatch.setattr("backoffice.balances.accounts.LEDGER_PAGE_ROWS", 2)
    for _number in range(4):
        balance_top_up(user_id=user_id, amount=Decimal("1.00"), reason="x", actor=SYSTEM)
    reader = person("reader", *VIEW)
    seen = []
    for number in ("1", "2", "3"):
        page = reader.get(address(user_id), {"page": number}).context["ledger"]
        seen += [entry.sequence for entry in page.entries]
    assert seen == [5, 4, 3, 2, 1]
    for junk in ("0", "-1", "99999999999", "x", "４"):
        assert reader.get(address(user_id), {"page": junk}).status_code == 200


def test_an_account_whose_user_is_no_uuid_can_be_read_and_not_moved():
    account = account_ensure(uuid.uuid4())
    UserBalance.objects.filter(pk=account.pk).update(user_id="test-user-uuid")
    clerk = person("clerk", *KEEPER)
    page = f"/admin/balances/userbalance/{account.pk}"
    assert clerk.get(f"{page}/change/").status_code == 200
    assert clerk.post(f"{page}/freeze/", {"amount": "1"}).status_code == 302


def test_ones_own_account_offers_no_steps(user_id):
    owner = StaffUser.objects.create_superuser(id=user_id, username="owner", password="x")
    account = UserBalance.objects.get(user_id=user_id)
    assert steps_for(owner, account) == []
    other = StaffUser.objects.create_superuser(username="other", password="x")
    assert steps_for(other, account) != []
