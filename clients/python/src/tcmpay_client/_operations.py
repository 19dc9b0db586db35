"""Generated from the API's description by `make clients`: changes are lost."""

from typing import Any, Literal

from tcmpay_client import _models as m
from tcmpay_client.transport import Call

# Fields that hold amounts.
DECIMAL_FIELDS = frozenset(
    {
        "amount",
        "balance",
        "balance_after",
        "balance_before",
        "discount_price",
        "frozen_balance",
        "paid_amount",
        "price",
        "refund_amount",
        "refundable_amount",
        "refunded_amount",
        "total_amount",
        "total_expense",
        "total_income",
    }
)

ErrorCode = Literal[
    "APPOINTMENT_HAS_ORDER",
    "BALANCE_LIMIT",
    "BALANCE_UNDER_REVIEW",
    "BODY_TOO_LARGE",
    "BULK_ALREADY_DECIDED",
    "BULK_NEEDS_SECOND_PERSON",
    "BULK_NOTHING",
    "BULK_NOT_RUNNING",
    "BULK_SIZE",
    "CONFIG_NEEDS_SECOND_PERSON",
    "FORBIDDEN",
    "GATEWAY_ERROR",
    "GATEWAY_UNAVAILABLE",
    "IDEMPOTENCY_IN_PROGRESS",
    "IDEMPOTENCY_KEY_REUSED",
    "INSUFFICIENT_BALANCE",
    "INTERNAL_ERROR",
    "METHOD_NOT_ALLOWED",
    "NOT_ACCEPTABLE",
    "NOT_FOUND",
    "ORDER_EXPIRED",
    "ORDER_NOT_CANCELLABLE",
    "ORDER_NOT_PAYABLE",
    "ORDER_NOT_REFUNDABLE",
    "PRICE_CHANGE_NEEDS_SECOND_PERSON",
    "PRICE_MISMATCH",
    "PRICE_NOT_FOUND",
    "PRICE_REQUIRED",
    "RATE_LIMITED",
    "REFUND_ALREADY_REVIEWED",
    "REFUND_EXCEEDS_PAID",
    "REFUND_LIMIT",
    "REFUND_NOT_WITHDRAWABLE",
    "SELF_REVIEW",
    "SERVICE_UNAVAILABLE",
    "TOO_MANY_ATTEMPTS",
    "TOPUPS_OFF",
    "TOPUP_DAY_LIMIT",
    "UNAUTHENTICATED",
    "UNSUPPORTED_MEDIA_TYPE",
    "UNSUPPORTED_METHOD",
    "VALIDATION_ERROR",
]


class Operations:
    """Every call of the API."""

    def _call(self, call: Call) -> Any:
        raise NotImplementedError

    def get_gateway_config(self, method: str) -> list[m.GatewayConfig]:
        """Read a gateway's configuration."""
        answer: list[m.GatewayConfig] = self._call(Call("GET", f"/api/v1/payment/admin/config/{method}"))
        return answer

    def update_gateway_config(self, method: str, body: m.GatewayConfigRequest) -> m.GatewayConfigUpdated | None:
        """Update one configuration value."""
        answer: m.GatewayConfigUpdated | None = self._call(Call("PUT", f"/api/v1/payment/admin/config/{method}", body=body))
        return answer

    def update_price(self, service_type: str, body: m.PriceRequest) -> m.ServicePrice:
        """Update a price."""
        answer: m.ServicePrice = self._call(Call("PUT", f"/api/v1/payment/admin/prices/{service_type}", body=body))
        return answer

    def review_refund(self, refund_id: str, body: m.RefundReviewRequest) -> None:
        """Review a refund."""
        answer: None = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/{refund_id}/review", body=body))
        return answer

    def request_bulk_refund(self, body: m.RefundBulkRequest | None = None, *, idempotency_key: str | None = None) -> m.RefundBulk:
        """Request a bulk refund."""
        answer: m.RefundBulk = self._call(Call("POST", "/api/v1/payment/admin/refunds/bulk", body=body, takes_key=True, idempotency_key=idempotency_key))
        return answer

    def get_bulk_refund(self, bulk_id: str, *, page: int | None = None, page_size: int | None = None, result: m.RefundBulkResult | None = None) -> m.RefundBulk:
        """Get a bulk refund."""
        answer: m.RefundBulk = self._call(Call("GET", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}", query={"page": page, "page_size": page_size, "result": result}))
        return answer

    def end_bulk_refund(self, bulk_id: str, body: m.BulkEndRequest) -> m.RefundBulk:
        """End a bulk refund early."""
        answer: m.RefundBulk = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}/end", body=body))
        return answer

    def pause_bulk_refund(self, bulk_id: str) -> m.RefundBulk:
        """Pause a bulk refund."""
        answer: m.RefundBulk = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}/pause"))
        return answer

    def resume_bulk_refund(self, bulk_id: str) -> m.RefundBulk:
        """Resume a bulk refund."""
        answer: m.RefundBulk = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}/resume"))
        return answer

    def review_bulk_refund(self, bulk_id: str, body: m.RefundReviewRequest) -> None:
        """Review a bulk refund."""
        answer: None = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}/review", body=body))
        return answer

    def withdraw_bulk_refund(self, bulk_id: str) -> m.RefundBulk:
        """Withdraw a bulk refund."""
        answer: m.RefundBulk = self._call(Call("PUT", f"/api/v1/payment/admin/refunds/bulk/{bulk_id}/withdraw"))
        return answer

    def get_balance(self, user_id: str) -> m.UserBalance:
        """Read a balance."""
        answer: m.UserBalance = self._call(Call("GET", f"/api/v1/payment/balance/{user_id}"))
        return answer

    def create_top_up(self, user_id: str, body: m.TopUpRequest, *, idempotency_key: str | None = None) -> m.Order:
        """Top up a balance."""
        answer: m.Order = self._call(Call("POST", f"/api/v1/payment/balance/{user_id}/topups", body=body, takes_key=True, idempotency_key=idempotency_key))
        return answer

    def list_balance_transactions(self, user_id: str, *, page: int | None = None, page_size: int | None = None) -> list[m.BalanceTransaction]:
        """List a balance's transactions."""
        answer: list[m.BalanceTransaction] = self._call(Call("GET", f"/api/v1/payment/balance/{user_id}/transactions", query={"page": page, "page_size": page_size}))
        return answer

    def list_events(self, *, after: int | None = None, limit: int | None = None, types: str | None = None) -> m.EventPage:
        """List events."""
        answer: m.EventPage = self._call(Call("GET", "/api/v1/payment/events", query={"after": after, "limit": limit, "types": types}))
        return answer

    def list_orders(self, *, appointment_id: str | None = None, cursor: str | None = None, end_date: str | None = None, ids: str | None = None, order_no: str | None = None, order_type: m.OrderType | None = None, page: int | None = None, page_size: int | None = None, payment_method: m.PaymentMethod | None = None, start_date: str | None = None, status: str | None = None, updated_since: str | None = None, user_id: str | None = None) -> m.OrderPage:
        """List orders."""
        answer: m.OrderPage = self._call(Call("GET", "/api/v1/payment/orders", query={"appointment_id": appointment_id, "cursor": cursor, "end_date": end_date, "ids": ids, "order_no": order_no, "order_type": order_type, "page": page, "page_size": page_size, "payment_method": payment_method, "start_date": start_date, "status": status, "updated_since": updated_since, "user_id": user_id}))
        return answer

    def create_order(self, body: m.OrderCreateRequest, *, idempotency_key: str | None = None) -> m.Order:
        """Create an order."""
        answer: m.Order = self._call(Call("POST", "/api/v1/payment/orders", body=body, takes_key=True, idempotency_key=idempotency_key))
        return answer

    def get_order(self, order_id: str) -> m.Order:
        """Read an order."""
        answer: m.Order = self._call(Call("GET", f"/api/v1/payment/orders/{order_id}"))
        return answer

    def cancel_order(self, order_id: str) -> None:
        """Cancel an order."""
        answer: None = self._call(Call("PUT", f"/api/v1/payment/orders/{order_id}/cancel"))
        return answer

    def create_cashier_link(self, order_id: str, body: m.CashierRequest | None = None) -> m.Cashier:
        """Create a checkout address."""
        answer: m.Cashier = self._call(Call("POST", f"/api/v1/payment/orders/{order_id}/cashier", body=body))
        return answer

    def get_order_qr_code(self, order_id: str) -> str:
        """The code to pay with, as SVG."""
        answer: str = self._call(Call("GET", f"/api/v1/payment/orders/{order_id}/qr.svg"))
        return answer

    def sync_order(self, order_id: str) -> m.Order:
        """Ask the gateway how the order stands."""
        answer: m.Order = self._call(Call("POST", f"/api/v1/payment/orders/{order_id}/sync"))
        return answer

    def pay_order(self, body: m.PayRequest, *, idempotency_key: str | None = None) -> m.PayResult:
        """Pay an order."""
        answer: m.PayResult = self._call(Call("POST", "/api/v1/payment/pay", body=body, takes_key=True, idempotency_key=idempotency_key))
        return answer

    def list_prices(self, *, is_active: bool | None = None, on: str | None = None, page: int | None = None, page_size: int | None = None) -> list[m.ServicePrice]:
        """List prices."""
        answer: list[m.ServicePrice] = self._call(Call("GET", "/api/v1/payment/prices", query={"is_active": is_active, "on": on, "page": page, "page_size": page_size}))
        return answer

    def get_price(self, service_type: str, *, on: str | None = None) -> m.ServicePrice:
        """The price in force today, or on a day."""
        answer: m.ServicePrice = self._call(Call("GET", f"/api/v1/payment/prices/{service_type}", query={"on": on}))
        return answer

    def list_refunds(self, *, cursor: str | None = None, end_date: str | None = None, order_id: str | None = None, page: int | None = None, page_size: int | None = None, start_date: str | None = None, status: str | None = None, updated_since: str | None = None, user_id: str | None = None) -> m.RefundPage:
        """List refunds."""
        answer: m.RefundPage = self._call(Call("GET", "/api/v1/payment/refunds", query={"cursor": cursor, "end_date": end_date, "order_id": order_id, "page": page, "page_size": page_size, "start_date": start_date, "status": status, "updated_since": updated_since, "user_id": user_id}))
        return answer

    def request_refund(self, body: m.RefundCreateRequest, *, idempotency_key: str | None = None) -> m.Refund:
        """Request a refund."""
        answer: m.Refund = self._call(Call("POST", "/api/v1/payment/refunds", body=body, takes_key=True, idempotency_key=idempotency_key))
        return answer

    def get_refund(self, refund_id: str) -> m.Refund:
        """Read a refund."""
        answer: m.Refund = self._call(Call("GET", f"/api/v1/payment/refunds/{refund_id}"))
        return answer

    def withdraw_refund(self, refund_id: str) -> m.Refund:
        """Withdraw a refund."""
        answer: m.Refund = self._call(Call("PUT", f"/api/v1/payment/refunds/{refund_id}/withdraw"))
        return answer

    def get_statistics(self, *, end_date: str | None = None, start_date: str | None = None, user_id: str | None = None) -> m.Statistics:
        """Read the statistics."""
        answer: m.Statistics = self._call(Call("GET", "/api/v1/payment/statistics", query={"end_date": end_date, "start_date": start_date, "user_id": user_id}))
        return answer

    def get_liveness(self) -> m.Live:
        """Is the process alive."""
        answer: m.Live = self._call(Call("GET", "/health/live"))
        return answer

    def get_readiness(self) -> m.Ready:
        """Can it serve."""
        answer: m.Ready = self._call(Call("GET", "/health/ready"))
        return answer
