"""Which page shows what: every page of the admin, in one table."""

from collections.abc import Mapping

from django.contrib import admin
from django.contrib.auth.models import Group
from django.db.models import Model

from backoffice.balances.adjustments import BalanceAdjustmentAdmin
from backoffice.balances.pages import BalanceTransactionAdmin, UserBalanceAdmin
from backoffice.cases.pages import ExceptionAdmin
from backoffice.exports.pages import ExportAdmin
from backoffice.gateways.pages import PaymentConfigAdmin
from backoffice.models import ExportJob
from backoffice.orders.pages import OrderAdmin
from backoffice.payments.pages import CallbackAdmin, TransactionAdmin
from backoffice.prices.pages import PriceChangeRequestAdmin, PriceConfigAdmin
from backoffice.reconciliation.closing import DailyCloseAdmin, DayReopeningAdmin
from backoffice.reconciliation.pages import BillFileAdmin, DifferenceAdmin, ReconciledDayAdmin
from backoffice.refunds.batches import RefundBatchAdmin
from backoffice.refunds.bulks import RefundBulkAdmin
from backoffice.refunds.pages import RefundAdmin
from backoffice.refunds.rules import RefundNoteAdmin, RefundPolicyRuleAdmin
from backoffice.site.admin_site import staff_site
from backoffice.staff.pages import RoleAdmin, StaffUserAdmin
from backoffice.staff.sign_ins import SignInAdmin
from backoffice.trail.pages import AuditEventAdmin
from backoffice.webhooks.pages import DeliveryAdmin, EndpointAdmin, EventAdmin
from balances.models import BalanceAdjustment, BalanceTransaction, UserBalance
from config.models import PaymentConfig, PriceChangeRequest, PriceConfig
from payments.models import PaymentCallback, PaymentException, PaymentOrder, PaymentTransaction
from reconciliation.models import (
    BillFile,
    DailyClose,
    DayReopening,
    Difference,
    ReconciledDay,
)
from refunds.models import Refund, RefundBatch, RefundBulk, RefundNote, RefundPolicyRule
from tcmpay.accounts.models import SignIn, StaffUser
from tcmpay.audit.models import AuditEvent
from webhooks.models import WebhookDelivery, WebhookEndpoint, WebhookEvent

PAGES: Mapping[type[Model], type[admin.ModelAdmin]] = {
    PaymentOrder: OrderAdmin,
    PaymentTransaction: TransactionAdmin,
    PaymentCallback: CallbackAdmin,
    PaymentException: ExceptionAdmin,
    Refund: RefundAdmin,
    RefundBatch: RefundBatchAdmin,
    RefundBulk: RefundBulkAdmin,
    RefundPolicyRule: RefundPolicyRuleAdmin,
    RefundNote: RefundNoteAdmin,
    ReconciledDay: ReconciledDayAdmin,
    Difference: DifferenceAdmin,
    BillFile: BillFileAdmin,
    DailyClose: DailyCloseAdmin,
    DayReopening: DayReopeningAdmin,
    UserBalance: UserBalanceAdmin,
    BalanceTransaction: BalanceTransactionAdmin,
    BalanceAdjustment: BalanceAdjustmentAdmin,
    PriceConfig: PriceConfigAdmin,
    PriceChangeRequest: PriceChangeRequestAdmin,
    PaymentConfig: PaymentConfigAdmin,
    WebhookEndpoint: EndpointAdmin,
    WebhookEvent: EventAdmin,
    WebhookDelivery: DeliveryAdmin,
    StaffUser: StaffUserAdmin,
    Group: RoleAdmin,
    SignIn: SignInAdmin,
    AuditEvent: AuditEventAdmin,
    ExportJob: ExportAdmin,
}


def pages_register() -> None:
    for model, page in PAGES.items():
        staff_site.register(model, page)
