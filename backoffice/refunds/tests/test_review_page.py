"""The review page: what it says, what it sends along, and whom it lets through."""

import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from backoffice.refunds.facts import Facts, Share, facts_of
from payments.models import PaymentOrder, PaymentTransaction
from refunds.models import Refund, RefundBatch, RefundPolicyRule
from refunds.services.batches import batch_confirm, batch_run
from refunds.services.requests import refund_request, refund_review, refund_withdraw
from refunds.states import BatchDecision
from tcmpay.accounts.models import StaffUser
from tcmpay.common.actor import Actor, Role
from tcmpay.common.money import ZERO
from tests.clinic import staff_actor_of, waiting_refund

pytestmark = pytest.mark.django_db

PREVIEW = "/admin/refunds/refund/batch/"
QUEUE = "/admin/refunds/refund/queue/"


def person(name: str, last_name: str = "") -> StaffUser:
    made = StaffUser.objects.create_user(username=name, last_name=last_name, is_staff=True)
    made.groups.set([Group.objects.get(name="reviewer")])
    return made


def desk_of(somebody: StaffUser) -> Client:
    browser = Client()
    browser.force_login(somebody)
    return browser


@pytest.fixture
def lin() -> StaffUser:
    return person("lin", "林审核")


@pytest.fixture
def wang() -> StaffUser:
    return person("wang", "王复核")


def address(refund: Refund) -> str:
    return f"/admin/refunds/refund/{refund.pk}/review/"


def hidden_fields(page: str) -> dict[str, list[str]]:
    """What the form that approves sends along besides what is typed."""
    form = next(part for part in page.split("<form") if 'value="approve"' in part)
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form):
        found.setdefault(name, []).append(value)
    return found


def approve(refund: Refund, by: StaffUser) -> Refund:
    return refund_review(
        actor=staff_actor_of(by), refund_id=refund.pk, is_approved=True, notes="同意"
    )


def status_of(refund: Refund) -> str:
    return Refund.objects.get(pk=refund.pk).status


# --- somebody approved while the page was open -------------------------------------------------


@pytest.fixture
def large(settings) -> Refund:
    settings.REFUND_SECOND_APPROVAL_OVER = Decimal("20.00")
    return waiting_refund("25.00")


def test_an_approval_on_a_page_from_before_the_first_one_sends_nothing(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(address(large)).content.decode()
    assert "您批准后进入待二审" in shown
    approve(large, lin)
    stale = hidden_fields(shown) | {"decision": "approve", "notes": "同意"}
    answer = browser.post(address(large), stale, follow=True).content.decode()
    assert status_of(large) == "pending"
    assert large.approvals.count() == 1
    assert "林审核 刚已批准，您这次是第二位，请再确认" in answer
    again = hidden_fields(answer) | {"decision": "approve", "notes": "同意"}
    browser.post(address(large), again)
    assert status_of(large) == "success"


def test_a_rejection_on_such_a_page_still_counts(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(address(large)).content.decode()
    approve(large, lin)
    browser.post(address(large), hidden_fields(shown) | {"decision": "reject", "notes": "重复"})
    assert status_of(large) == "cancelled"


def test_a_batch_asks_again_about_what_was_approved_since_its_preview(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(PREVIEW, {"refund": str(large.pk)}).content.decode()
    approve(large, lin)
    stale = hidden_fields(shown) | {"decision": "approve", "notes": "同意"}
    answer = browser.post(PREVIEW, stale).content.decode()
    assert not RefundBatch.objects.exists()
    assert "林审核 刚已批准，您这次是第二位，请再确认" in answer
    browser.post(PREVIEW, hidden_fields(answer) | {"decision": "approve", "notes": "同意"})
    batch_run(batch_id=RefundBatch.objects.get().pk)
    assert status_of(large) == "success"


def test_a_batch_leaves_out_what_was_approved_since_it_was_confirmed(large, lin, wang):
    browser = desk_of(wang)
    shown = browser.get(PREVIEW, {"refund": str(large.pk)}).content.decode()
    browser.post(PREVIEW, hidden_fields(shown) | {"decision": "approve", "notes": "同意"})
    approve(large, lin)
    batch = RefundBatch.objects.get()
    batch_run(batch_id=batch.pk)
    assert status_of(large) == "pending"
    assert batch.rows.get().error_code == "APPROVED_MEANWHILE"


# --- another amount ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("30.00", "必须大于零且小于原申请的金额"),
        ("31", "必须大于零且小于原申请的金额"),
        ("一半", "最多两位小数"),
        ("1.234", "最多两位小数"),
        ("-1", "最多两位小数"),
    ],
)
def test_an_amount_that_does_not_fit_stays_where_it_was_typed(lin, amount, error):
    refund = waiting_refund("30.00")
    typed = {"decision": "replace", "amount": amount, "replace_notes": "只做了一半"}
    answer = desk_of(lin).post(address(refund), typed)
    page = answer.content.decode()
    assert answer.status_code == 200
    box = page.split('<details class="tcm-more" open>')[1].split("</details>")[0]
    assert error in box
    assert f'value="{amount}"' in box
    assert "只做了一半" in box
    assert status_of(refund) == "pending"


def test_a_whole_amount_is_shown_with_two_places(lin):
    refund = waiting_refund("50.00")
    typed = {"decision": "replace", "amount": "40", "replace_notes": "扣除挂号费"}
    page = desk_of(lin).post(address(refund), typed, follow=True).content.decode()
    assert "（40.00 元）" in page
    assert status_of(refund) == "cancelled"


# --- what the page says ------------------------------------------------------------------------


def facts_for(refund: Refund, reader: StaffUser) -> Facts:
    return facts_of(Refund.objects.get(pk=refund.pk), reader)


def test_a_completed_refund_does_not_count_itself_among_the_others(lin):
    RefundPolicyRule(percentage=100).save()
    refund = waiting_refund("30.00")
    approve(refund, lin)
    facts = facts_for(refund, lin)
    assert (facts.share, facts.open) == (Share(ZERO, ZERO), ZERO)
    assert (facts.proposal, facts.remarks) == (None, [])
    page = desk_of(lin).get(address(refund)).content.decode()
    assert "按规则可退" not in page
    assert "退款规则</h2>" not in page


def test_a_waiting_refund_has_its_proposal(lin):
    RefundPolicyRule(percentage=100).save()
    page = desk_of(lin).get(address(waiting_refund("30.00"))).content.decode()
    assert "按规则可退" in page


def test_another_refund_of_the_payment_counts_among_the_others(lin):
    first = waiting_refund("10.00", paid="30.00")
    approve(first, lin)
    second = refund_request(
        actor=Actor(first.user_id, Role.PATIENT),
        order_id=first.order_id,
        amount=Decimal("5.00"),
        reason="再退",
    )
    assert facts_for(second, lin).share == Share(Decimal("10.00"), ZERO)
    assert facts_for(first, lin).share == Share(ZERO, Decimal("5.00"))


@pytest.mark.parametrize(("created_by", "is_told"), [("payer", True), ("platform", False)])
def test_it_says_that_the_payer_wrote_the_time_of_the_appointment(lin, created_by, is_told):
    refund = waiting_refund(metadata={"appointment_time": "2027-01-05T09:00:00+08:00"})
    if created_by == "platform":
        PaymentOrder.objects.filter(pk=refund.order_id).update(created_by=uuid.uuid4())
    page = desk_of(lin).get(address(refund)).content.decode()
    assert ("预约时间由用户填写，请核对" in page) == is_told


def test_without_a_time_there_is_nothing_to_check(lin):
    page = desk_of(lin).get(address(waiting_refund())).content.decode()
    assert "预约时间由用户填写" not in page


def test_the_queue_and_the_page_say_alike_what_is_left(lin):
    refund = waiting_refund("30.00")
    browser = desk_of(lin)
    assert "已付 / 已退 / 此外还可退" in browser.get(QUEUE).content.decode()
    assert "此外还可退（元）" in browser.get(address(refund)).content.decode()


def test_who_approved_is_not_told_to_be_the_second(large, lin, wang):
    approve(large, lin)
    first, second = facts_for(large, lin), facts_for(large, wang)
    assert (first.hindrances, first.remarks) == (["您已批准，还需另一位审核人"], [])
    assert (second.hindrances, second.remarks) == ([], ["林审核 已批准，您是第二位"])


@pytest.mark.parametrize("place", ["list", "page", "review"])
def test_a_rejected_refund_reads_rejected(lin, place):
    refund = waiting_refund()
    refund_review(actor=staff_actor_of(lin), refund_id=refund.pk, is_approved=False, notes="重复")
    shown = {
        "list": "/admin/refunds/refund/",
        "page": f"/admin/refunds/refund/{refund.pk}/change/",
        "review": address(refund),
    }[place]
    page = desk_of(lin).get(shown).content.decode()
    assert "已驳回" in page


def test_a_withdrawn_refund_does_not_read_rejected():
    refund = waiting_refund()
    refund_withdraw(actor=Actor(refund.user_id, Role.PATIENT), refund_id=refund.pk)
    assert Refund.objects.get(pk=refund.pk).state_text == "已取消"


# --- the results of a batch --------------------------------------------------------------------


def result_of(batch: RefundBatch, reader: StaffUser) -> str:
    page = f"/admin/refunds/refundbatch/{batch.pk}/change/?part=result"
    return desk_of(reader).get(page).content.decode()


def decided(refund: Refund, by: StaffUser, decision: BatchDecision) -> RefundBatch:
    batch = batch_confirm(
        actor=staff_actor_of(by),
        batch_id=uuid.uuid4(),
        refund_ids=[refund.pk],
        decision=decision,
        notes="停诊",
    )
    batch_run(batch_id=batch.pk)
    return RefundBatch.objects.get(pk=batch.pk)


def test_a_batchs_page_asks_on_until_no_refund_is_on_its_way(lin):
    refund = waiting_refund()
    batch = decided(refund, lin, BatchDecision.APPROVE)
    Refund.objects.filter(pk=refund.pk).update(status="processing", completed_at=None)
    page = result_of(batch, lin)
    assert 'data-finished="no"' in page
    assert "已批准" in page
    assert "本页会自动更新" in page
    Refund.objects.filter(pk=refund.pk).update(status="failed")
    assert 'data-finished="yes"' in result_of(batch, lin)


def test_a_rejected_row_reads_rejected_and_is_final(lin):
    page = result_of(decided(waiting_refund(), lin, BatchDecision.REJECT), lin)
    assert 'data-finished="yes"' in page
    assert "已驳回" in page


def test_the_pages_show_what_belongs_to_an_order_and_to_its_refund(lin):
    refund = waiting_refund()
    refund_review(actor=staff_actor_of(lin), refund_id=refund.pk, is_approved=True, notes="已核")
    head = desk_of(StaffUser.objects.create_superuser(username="head"))

    def panels(page: str, key: object) -> dict[str, str]:
        answer = head.get(f"/admin/{page}/{key}/change/")
        return {str(panel.title): str(panel.rows) for panel in answer.context["panels"]}

    of_order = panels("payments/paymentorder", refund.order_id)
    assert refund.refund_no in of_order["退款"]
    assert refund.transaction.transaction_no in of_order["支付流水"]
    assert len(of_order) == 4
    of_refund = panels("refunds/refund", refund.pk)
    assert "林审核" in of_refund["审批"]
    assert "已核" in of_refund["操作记录"]


# --- failed ones sent again together --------------------------------------------------------------


def failed_refund() -> Refund:
    refund = waiting_refund()
    PaymentTransaction.objects.filter(pk=refund.transaction_id).update(refund_reserved=0)
    Refund.objects.filter(pk=refund.pk).update(status="failed")
    return refund


def hidden(page: str) -> dict[str, str]:
    return {
        name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("form_id", "seen")
    }


def test_one_that_failed_since_the_preview_is_shown_before_it_is_sent_again(lin):
    failed_refund()
    desk, address = desk_of(lin), "/admin/refunds/refund/retry-all/?query=retry%3Dyes"
    sent = hidden(desk.get(address).text) | {"notes": "已充值"}
    later = failed_refund()
    page = desk.post(address, sent).text
    assert later.refund_no in page
    assert "再核对一次" in page
    assert not RefundBatch.objects.exists()
    desk.post(address, hidden(page) | {"notes": "已充值"})
    assert RefundBatch.objects.get().rows.count() == 2


def test_the_failed_ones_of_the_list_are_previewed_and_sent_again(lin):
    refund = failed_refund()
    desk, address = desk_of(lin), "/admin/refunds/refund/retry-all/"
    assert (
        "没有可以重试的失败退款"
        in desk.get(f"{address}?query=status__exact%3Dsuccess", follow=True).text
    )
    page = desk.get(f"{address}?query=retry%3Dyes").text
    assert refund.refund_no in page
    for _click in range(2):
        desk.post(f"{address}?query=retry%3Dyes", hidden(page) | {"notes": "已充值"})
    batch = RefundBatch.objects.get()
    assert (batch.decision, batch.rows.count()) == ("retry", 1)
