"""What the API's description calls the code's own tables of values, wherever one stands."""

ENUMERATIONS = {
    "OrderStatus": "payments.states.OrderStatus",
    "OrderType": "tcmpay.common.order_types.OrderType",
    "ServiceOrderType": "tcmpay.common.order_types.SERVICE_TYPES",
    "PaymentMethod": "payments.states.PaymentMethod",
    "PaymentScene": "payments.states.PaymentScene",
    "RefundStatus": "refunds.states.RefundStatus",
    "RefundBulkStatus": "refunds.states.BulkStatus",
    "RefundBulkResult": "refunds.states.BulkOutcome",
    "BalanceTransactionType": "balances.models.EntryType",
    "RelatedType": "balances.models.RelatedType",
    "TokenProblem": "tcmpay.common.errors.TokenProblem",
    "EventType": "webhooks.states.EventType",
    "GatewayMethod": "config.models.GatewayMethod",
}
