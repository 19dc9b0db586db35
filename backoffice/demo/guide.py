"""What ``make demo`` prints once it serves: what to open, who to be, what to try."""

from backoffice.demo.data import (
    DEMO_PASSWORD,
    DEMO_STAFF,
    PATIENT_LI,
    PLATFORM_ADMIN,
    PLATFORM_SERVICE,
)
from payments.cashier.links import CashierLink, link_token
from payments.models import PaymentOrder
from payments.states import OrderStatus
from tcmpay.accounts.services import token_issue
from tcmpay.common import clock
from tcmpay.common.actor import Role

TOKEN_SECONDS = 7 * 24 * 3600


def demo_guide(port: int) -> str:
    """The text to print; tokens are good for a week."""
    base = f"http://localhost:{port}"
    patient = token_issue(user_id=PATIENT_LI, role=Role.PATIENT, ttl_seconds=TOKEN_SECONDS)
    admin = token_issue(user_id=PLATFORM_ADMIN, role=Role.ADMIN, ttl_seconds=TOKEN_SECONDS)
    service = token_issue(user_id=PLATFORM_SERVICE, role=Role.SERVICE, ttl_seconds=TOKEN_SECONDS)
    logins = "\n".join(f"    {person.username:<10}{person.purpose}" for person in DEMO_STAFF)
    api = f"{base}/api/v1/payment"
    return f"""
tcmpay 演示已启动 / the demo is serving

  管理后台 Admin     {base}/admin/
  密码 password      {DEMO_PASSWORD}
{logins}

  接口文档 API docs  {base}/api/docs/
  收银台 cashier     {_cashier(base)}
  模拟网关 gateways  http://localhost:{port + 1}/   (微信、支付宝的替身：在此付款 / pay here)

  患者 patient  {PATIENT_LI}
  export PATIENT={patient}
  平台后端 platform's back end (不能付款和审核 / neither pays nor reviews)
  export SERVICE={service}
  平台管理员 platform admin
  export ADMIN={admin}

试一试 / try (after the exports above):

  curl -X POST {api}/orders -H "Authorization: Bearer $PATIENT" \\
    -H "Content-Type: application/json" \\
    -d '{{"user_id": "{PATIENT_LI}", "order_type": "consultation", "amount": "30.00"}}'
  curl {api}/balance/{PATIENT_LI} -H "Authorization: Bearer $PATIENT"
  curl -X POST {api}/balance/{PATIENT_LI}/topups -H "Authorization: Bearer $PATIENT" \\
    -H "Content-Type: application/json" -d '{{"amount": "100.00"}}'
  curl "{api}/orders?status=pending" -H "Authorization: Bearer $PATIENT"
  curl -X POST {api}/orders/ORDER_ID/cashier -H "Authorization: Bearer $PATIENT"

Ctrl-C 停止 / stops everything.  make demo RESET=1 重新开始 / starts afresh.
"""


def _cashier(base: str) -> str:
    """The address of the cashier of a demo order that can be paid still."""
    unpaid = PaymentOrder.objects.filter(user_id=PATIENT_LI, status=OrderStatus.PENDING)
    order = unpaid.filter(expire_time__gt=clock.now()).order_by("-created_at").first()
    if order is None:
        return "POST /orders, POST /orders/{id}/cashier"
    return f"{base}/pay/{link_token(CashierLink(order_id=order.id, ends_at=order.expire_time))}"
