"""The steps that most tests begin with, taken over the API itself."""

from decimal import Decimal
from typing import Any

from balances.services import balance_top_up
from refunds.services import submission, surplus
from tcmpay.common.actor import SYSTEM
from tests.api.kit import Api, Person

Row = dict[str, Any]


class Story:
    def __init__(self, api: Api) -> None:
        self.api = api

    def fund(self, person: Person, amount: str) -> None:
        balance_top_up(user_id=person.id, amount=Decimal(amount), reason="测试充值", actor=SYSTEM)

    def order(self, owner: Person, amount: str = "30.00", **fields: Any) -> Row:
        body = {"user_id": owner.name, "order_type": "consultation", "amount": amount} | fields
        return self.api.post("orders", body, by=owner).created()

    def pay(self, order: Row, by: Person, method: str = "balance", **fields: Any) -> Row:
        body = {"order_id": order["id"], "payment_method": method} | fields
        return self.api.post("pay", body, by=by).accepted()

    def paid_from_balance(self, owner: Person, amount: str = "30.00", **fields: Any) -> Row:
        order = self.order(owner, amount, **fields)
        self.pay(order, owner)
        return self.reread(order, owner)

    def paid_at_gateway(self, owner: Person, method: str = "alipay", amount: str = "30.00") -> Row:
        order = self.order(owner, amount)
        self.pay(order, owner, method)
        self.gateway_reports(order, method=method)
        return self.reread(order, owner)

    def gateway_reports(
        self,
        order: Row,
        *,
        method: str = "alipay",
        amount: str | None = None,
        status: str = "TRADE_SUCCESS",
        number: str | None = None,
    ) -> Any:
        """The guide's unsigned JSON callback."""
        body = mock_callback(order, amount=amount, status=status, number=number)
        return self.api.callback(f"/payment/callback?method={method}", body)

    def topup(self, owner: Person, amount: str = "100.00") -> Row:
        return self.api.post(f"balance/{owner.name}/topups", {"amount": amount}, by=owner).created()

    def topped_up(self, owner: Person, amount: str = "100.00", method: str = "alipay") -> Row:
        order = self.topup(owner, amount)
        self.pay(order, owner, method)
        self.gateway_reports(order, method=method)
        return self.reread(order, owner)

    def reread(self, order: Row, by: Person) -> Row:
        return self.api.get(f"orders/{order['id']}", by=by).accepted()

    def status(self, order: Row, by: Person) -> str:
        return str(self.reread(order, by)["status"])

    def cancel(self, order: Row, by: Person) -> None:
        self.api.put(f"orders/{order['id']}/cancel", by=by).accepted()

    def balance(self, person: Person) -> Row:
        return self.api.get(f"balance/{person.name}", by=person).accepted()

    def entries(self, person: Person) -> list[Row]:
        return self.api.get(f"balance/{person.name}/transactions", by=person).accepted()

    def refund(self, order: Row, by: Person, amount: str = "30.00", reason: str = "未使用") -> Row:
        body = {"order_id": order["id"], "refund_amount": amount, "refund_reason": reason}
        return self.api.post("refunds", body, by=by).created()

    def review(self, refund: Row, by: Person, *, approved: bool = True, notes: str = "") -> None:
        body = {"approved": approved, "review_notes": notes}
        answer = self.api.put(f"admin/refunds/{refund['id']}/review", body, by=by)
        assert answer.accepted() is None

    def refund_now(self, refund: Row, by: Person) -> Row:
        return self.api.get(f"refunds/{refund['id']}", by=by).accepted()

    def worker_runs(self) -> None:
        """What the refunds' task does every half minute."""
        surplus.surplus_sweep()
        submission.refunds_sweep()


def mock_callback(
    order: Row,
    *,
    amount: str | None = None,
    status: str = "TRADE_SUCCESS",
    number: str | None = None,
) -> Row:
    return {
        "out_trade_no": number or order["order_no"],
        "trade_no": "2026112422001412345",
        "trade_status": status,
        "total_amount": amount or order["amount"],
    }
