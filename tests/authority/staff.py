"""The staff of the admin's table, and the objects that its lines name."""

import uuid
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from unittest.mock import patch

from django.contrib.auth.models import Group
from django.db.models import Model
from django.test import Client

from backoffice.reconciliation.tests.kit import compared, difference, yesterday
from balances.adjustments import adjustment_request
from balances.models import Direction, UserBalance
from config.gateways.versions import version_in_force
from config.models import PaymentConfig, PriceChangeRequest, PriceConfig
from config.prices.plan import PriceChange
from config.prices.selectors import periods_digest
from config.prices.services import price_change
from payments.models import PaymentException, PaymentTransaction
from payments.services.exceptions import exception_write_off_ask
from reconciliation.models import BillFile, BillUpload, Difference, ReconciledDay
from reconciliation.services.closing import close_propose, close_sign, reopening_request
from reconciliation.tests import days
from refunds.bulk_plan import Wanted
from refunds.models import Refund, RefundBulk
from refunds.services.bulks import bulk_approve, bulk_request
from refunds.services.cases import case_write_off_decide
from refunds.services.requests import refund_request, refund_review
from refunds.states import BulkSource
from tcmpay.accounts.models import StaffUser
from tcmpay.accounts.roles import ROLES
from tcmpay.common import clock
from tcmpay.common.actor import Actor, Role
from tests.api.kit import Person, someone
from tests.api.story import Story
from webhooks.models import WebhookEndpoint
from webhooks.services.endpoints import endpoint_add, endpoint_disable

AMOUNT = Decimal("30.00")
PASSWORD = "tests-only-Lotus-41"
ANONYMOUS, OUTSIDER, NEWCOMER, SUPERUSER = "anonymous", "outsider", "newcomer", "superuser"
# An outsider has an account that is not staff's, a newcomer is staff and has no role yet.
PEOPLE = (ANONYMOUS, OUTSIDER, NEWCOMER, *ROLES, SUPERUSER)
DIFFERENCE = "0192f0c1-0000-7000-8000-00000000d1ff"
NOWHERE = "0192f0c1-0000-7000-8000-00000000dead"


def person_make(kind: str) -> StaffUser | None:
    if kind == ANONYMOUS:
        return None
    person = StaffUser.objects.create_user(
        id=uuid.uuid4(),
        username=f"{kind}-{uuid.uuid4().hex[:8]}",
        password=PASSWORD,
        is_staff=kind != OUTSIDER,
        is_superuser=kind == SUPERUSER,
    )
    person.groups.set(Group.objects.filter(name=kind))
    return person


def browser_of(person: StaffUser | None, **options: Any) -> Client:
    """A browser in which ``person`` has signed in."""
    browser = Client(raise_request_exception=False, **options)
    if person is not None:
        browser.force_login(person)
    return browser


class Desk:
    """The objects that pages are asked about, made when they are named."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.owner = someone(Role.PATIENT)
        # Whoever looks first at rows without a version makes one: not what is asked about here.
        for method in ("wechat", "alipay"):
            version_in_force(method)

    def of_model(self, model: type[Model]) -> object:
        """Any row's key; of a table that is empty here, a key that nobody has."""
        return model._default_manager.values_list("pk", flat=True).first() or NOWHERE

    def key(self, name: str, reader: StaffUser | None) -> object:
        """The key of the object that a line calls ``name``, as ``reader`` is asked about it."""
        return getattr(self, f"_{name}")(reader)

    def everything(self) -> None:
        """At least one row in each table that has a page."""
        self._closed_case(None)
        self._case(None)
        self._refund(None)
        self._bulk(None)
        self._adjustment(None)
        self._price_change(None)
        difference(compared())
        self._endpoint(None)

    def _nowhere(self, _reader: StaffUser | None) -> object:
        return NOWHERE

    def _refund_by(self, owner: Person, actor: Actor | None = None) -> Refund:
        self.story.fund(owner, "30.00")
        order = self.story.paid_from_balance(owner)
        return refund_request(
            actor=actor or Actor(owner.id, Role.PATIENT),
            order_id=uuid.UUID(order["id"]),
            amount=AMOUNT,
            reason="未就诊",
        )

    def _refund(self, _reader: StaffUser | None) -> object:
        return self._refund_by(self.owner).pk

    def _refund_to_self(self, reader: StaffUser | None) -> object:
        """Money to the reader: the same person is a patient too."""
        return self._refund_by(someone(Role.PATIENT, reader.pk if reader else None)).pk

    def _refund_asked_self(self, reader: StaffUser | None) -> object:
        """Asked for by the reader, in the platform, for somebody else."""
        actor = Actor(reader.pk if reader else uuid.uuid4(), Role.ADMIN)
        return self._refund_by(self.owner, actor).pk

    def _failed_refund(self, _reader: StaffUser | None) -> object:
        """As a gateway's definite no leaves it: nothing reserved any more."""
        order = self.story.paid_at_gateway(someone(Role.PATIENT))
        refund = self._refund_of_order(order)
        PaymentTransaction.objects.filter(pk=refund.transaction_id).update(refund_reserved=0)
        Refund.objects.filter(pk=refund.pk).update(status="failed")
        return refund.pk

    def _running_refund(self, _reader: StaffUser | None) -> object:
        """Approved, and not answered by its gateway yet."""
        refund = self._refund_of_order(self.story.paid_at_gateway(someone(Role.PATIENT)))
        Refund.objects.filter(pk=refund.pk).update(status="processing")
        return refund.pk

    def _bulk(self, _reader: StaffUser | None) -> object:
        """Asked for by somebody else."""
        return self._bulk_by(uuid.uuid4()).pk

    def _own_bulk(self, reader: StaffUser | None) -> object:
        return self._bulk_by(reader.pk if reader else uuid.uuid4()).pk

    def _running_bulk(self, reader: StaffUser | None) -> object:
        bulk = self._bulk_by(uuid.uuid4())
        bulk_approve(actor=Actor(uuid.uuid4(), Role.STAFF), bulk_id=bulk.pk, notes="")
        return bulk.pk

    def _bulk_by(self, person_id: uuid.UUID) -> RefundBulk:
        return bulk_request(
            actor=Actor(person_id, Role.STAFF),
            wanted=[Wanted(str(self._paid_order(None)))],
            reason="医生停诊",
            source=BulkSource.ORDERS,
        )

    def _refund_of_order(self, order: dict[str, Any]) -> Refund:
        actor = Actor(uuid.UUID(order["user_id"]), Role.PATIENT)
        return refund_request(
            actor=actor, order_id=uuid.UUID(order["id"]), amount=AMOUNT, reason="未就诊"
        )

    def _case(self, _reader: StaffUser | None) -> object:
        """A verified message about an order that nobody has."""
        self.story.gateway_reports({"order_no": f"ORD{uuid.uuid4().hex[:20]}", "amount": "1.00"})
        return PaymentException.objects.filter(closed_at=None).latest("opened_at").pk

    def _closed_case(self, reader: StaffUser | None) -> object:
        key = self._case(reader)
        case = uuid.UUID(str(key))
        asker, confirmer = (Actor(uuid.uuid4(), Role.STAFF) for _ in range(2))
        exception_write_off_ask(actor=asker, exception_id=case, reason="x")
        case_write_off_decide(actor=confirmer, exception_id=case, is_confirmed=True, notes="x")
        return key

    def _price(self, _reader: StaffUser | None) -> object:
        return PriceConfig.objects.filter(service_type="consultation").latest("effective_date").pk

    def _setting(self, _reader: StaffUser | None) -> object:
        return PaymentConfig.objects.get(payment_method="wechat", config_key="app_id").pk

    def _person(self, _reader: StaffUser | None) -> object:
        person = person_make(NEWCOMER)
        assert person is not None
        return person.pk

    def _superuser(self, _reader: StaffUser | None) -> object:
        person = person_make(SUPERUSER)
        assert person is not None
        return person.pk

    def _payments(self, _reader: StaffUser | None) -> object:
        """An app's page is named by the app."""
        return "payments"

    def _business_day(self, _reader: StaffUser | None) -> object:
        return yesterday().isoformat()

    def _sent_bill(self, _reader: StaffUser | None) -> object:
        """A big one that differs from the bill that counts."""
        sent = BillUpload(payment_method="wechat", merchant="1900000109", day=yesterday())
        sent.bill_type, sent.sent_by, sent.status, sent.reason = (
            "trade",
            uuid.uuid4(),
            "differs",
            "x",
        )
        sent.save()
        return sent.pk

    def _day_to_close(self, _reader: StaffUser | None) -> object:
        """The first with money, over, and nothing in the way."""
        day = yesterday() - timedelta(days=1)
        noon = clock.day_start(day) + timedelta(hours=12)
        owner = days.patient()
        days.funded(owner, "30.00", noon)
        days.paid_from_balance(owner, "30.00", noon)
        return day.isoformat()

    def _close(self, _reader: StaffUser | None) -> object:
        """Put forward by somebody else."""
        day = date.fromisoformat(str(self._day_to_close(None)))
        return close_propose(actor=Actor(uuid.uuid4(), Role.STAFF), day=day).pk

    def _closed_day(self, _reader: StaffUser | None) -> object:
        close = close_sign(
            actor=Actor(uuid.uuid4(), Role.STAFF), close_id=uuid.UUID(str(self._close(None)))
        )
        return close.day.isoformat()

    def _reopening(self, _reader: StaffUser | None) -> object:
        day = date.fromisoformat(str(self._closed_day(None)))
        asker = Actor(uuid.uuid4(), Role.STAFF)
        return reopening_request(actor=asker, day=day, reason="漏了一笔").pk

    def _mended_day(self, _reader: StaffUser | None) -> object:
        row = ReconciledDay.objects.latest("day")
        Difference.objects.filter(pk=DIFFERENCE).delete()
        return difference(row, pk=DIFFERENCE).day.day.isoformat()

    def _endpoint(self, _reader: StaffUser | None) -> object:
        """One that nothing can reach: a test of it is a refused address, at once."""
        return self._endpoint_at("https://127.0.0.1:9/hooks").pk

    def _disabled_endpoint(self, _reader: StaffUser | None) -> object:
        endpoint = self._endpoint_at("https://93.184.216.34/hooks")
        actor = Actor(uuid.uuid4(), Role.STAFF)
        return endpoint_disable(actor=actor, endpoint_id=endpoint.pk, reason="x").pk

    def _endpoint_at(self, url: str) -> WebhookEndpoint:
        WebhookEndpoint.objects.filter(url=url).delete()
        with patch("webhooks.services.endpoints.ensure_endpoint_url"):
            return endpoint_add(actor=Actor(uuid.uuid4(), Role.STAFF), url=url).endpoint

    def _bill(self, _reader: StaffUser | None) -> object:
        return self.of_model(BillFile)

    def _account(self, _reader: StaffUser | None) -> object:
        owner = someone(Role.PATIENT)
        self.story.fund(owner, "30.00")
        return UserBalance.objects.get(user_id=owner.id).pk

    def _adjustment(self, _reader: StaffUser | None) -> object:
        """Asked for by somebody else."""
        return self._adjustment_by(uuid.uuid4())

    def _own_adjustment(self, reader: StaffUser | None) -> object:
        return self._adjustment_by(reader.pk if reader else uuid.uuid4())

    def _adjustment_by(self, person_id: uuid.UUID) -> object:
        adjustment = adjustment_request(
            actor=Actor(person_id, Role.STAFF),
            request_id=uuid.uuid4(),
            user_id=someone(Role.PATIENT).id,
            direction=Direction.CREDIT,
            amount=AMOUNT,
            reason="补记线下充值",
        )
        return adjustment.pk

    def _gateway(self, _reader: StaffUser | None) -> object:
        return "wechat"

    def _version(self, _reader: StaffUser | None) -> object:
        return "wechat", version_in_force("wechat").number

    def _price_change(self, _reader: StaffUser | None) -> object:
        """A change that goes too far for one person, asked for by somebody else."""
        PriceChangeRequest.objects.all().delete()
        periods = PriceConfig.objects.filter(service_type="consultation")
        change = price_change(
            actor=Actor(uuid.uuid4(), Role.STAFF),
            change=PriceChange(service_type="consultation", price=Decimal("200.00")),
            limit_percent=50,
            may_wait=True,
            reason="调价",
            seen=periods_digest(periods),
        )
        return change.pk

    def _service(self, _reader: StaffUser | None) -> object:
        return "consultation"

    def _step(self, reader: StaffUser | None) -> object:
        return self._person(reader), "end-sessions"

    def _superusers_step(self, reader: StaffUser | None) -> object:
        return self._superuser(reader), "end-sessions"

    def _paid_order(self, _reader: StaffUser | None) -> object:
        self.story.fund(self.owner, "30.00")
        return self.story.paid_from_balance(self.owner)["id"]

    def _finished_refund(self, _reader: StaffUser | None) -> object:
        refund = self._refund_by(self.owner)
        reviewer = Actor(uuid.uuid4(), Role.ADMIN)
        refund_review(actor=reviewer, refund_id=refund.pk, is_approved=True, notes="x")
        return refund.pk
