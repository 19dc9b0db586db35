/** @typedef {import("../types/schema.js").components["schemas"]} Schemas */
/** @typedef {import("../types/schema.js").operations} Described */
/** @typedef {"APPOINTMENT_HAS_ORDER" | "BALANCE_LIMIT" | "BALANCE_UNDER_REVIEW" | "BODY_TOO_LARGE" | "BULK_ALREADY_DECIDED" | "BULK_NEEDS_SECOND_PERSON" | "BULK_NOTHING" | "BULK_NOT_RUNNING" | "BULK_SIZE" | "CONFIG_NEEDS_SECOND_PERSON" | "FORBIDDEN" | "GATEWAY_ERROR" | "GATEWAY_UNAVAILABLE" | "IDEMPOTENCY_IN_PROGRESS" | "IDEMPOTENCY_KEY_REUSED" | "INSUFFICIENT_BALANCE" | "INTERNAL_ERROR" | "METHOD_NOT_ALLOWED" | "NOT_ACCEPTABLE" | "NOT_FOUND" | "ORDER_EXPIRED" | "ORDER_NOT_CANCELLABLE" | "ORDER_NOT_PAYABLE" | "ORDER_NOT_REFUNDABLE" | "PRICE_CHANGE_NEEDS_SECOND_PERSON" | "PRICE_MISMATCH" | "PRICE_NOT_FOUND" | "PRICE_REQUIRED" | "RATE_LIMITED" | "REFUND_ALREADY_REVIEWED" | "REFUND_EXCEEDS_PAID" | "REFUND_LIMIT" | "REFUND_NOT_WITHDRAWABLE" | "SELF_REVIEW" | "SERVICE_UNAVAILABLE" | "TOO_MANY_ATTEMPTS" | "TOPUPS_OFF" | "TOPUP_DAY_LIMIT" | "UNAUTHENTICATED" | "UNSUPPORTED_MEDIA_TYPE" | "UNSUPPORTED_METHOD" | "VALIDATION_ERROR"} ErrorCode */
/** @typedef {{signal?: AbortSignal}} Options */
/** @typedef {Options & {idempotencyKey?: string}} KeyedOptions */
/**
 * @typedef {object} Call
 * @property {string} method
 * @property {string} path
 * @property {Record<string, unknown>} [query]
 * @property {unknown} [body]
 * @property {boolean} [takesKey]
 * @property {string} [idempotencyKey]
 * @property {string} [ifNoneMatch]
 * @property {AbortSignal} [signal]
 */
/** Every call of the API. */
export class Operations {
    /**
     * @param {Call} call
     * @returns {Promise<any>}
     */
    _call(call: Call): Promise<any>;
    /**
     * Read a gateway's configuration.
     * @param {string} method
     * @param {Options} [options]
     * @returns {Promise<Schemas["GatewayConfigEnvelope"]["data"]>}
     */
    getGatewayConfig(method: string, options?: Options): Promise<Schemas["GatewayConfigEnvelope"]["data"]>;
    /**
     * Update one configuration value.
     * @param {string} method
     * @param {Schemas["GatewayConfigRequest"]} body
     * @param {Options} [options]
     * @returns {Promise<Schemas["GatewayConfigUpdatedEnvelope"]["data"]>}
     */
    updateGatewayConfig(method: string, body: Schemas["GatewayConfigRequest"], options?: Options): Promise<Schemas["GatewayConfigUpdatedEnvelope"]["data"]>;
    /**
     * Update a price.
     * @param {string} serviceType
     * @param {Schemas["PriceRequest"]} body
     * @param {Options} [options]
     * @returns {Promise<Schemas["PriceEnvelope"]["data"]>}
     */
    updatePrice(serviceType: string, body: Schemas["PriceRequest"], options?: Options): Promise<Schemas["PriceEnvelope"]["data"]>;
    /**
     * Review a refund.
     * @param {string} refundId
     * @param {Schemas["RefundReviewRequest"]} body
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundReviewedEnvelope"]["data"]>}
     */
    reviewRefund(refundId: string, body: Schemas["RefundReviewRequest"], options?: Options): Promise<Schemas["RefundReviewedEnvelope"]["data"]>;
    /**
     * Request a bulk refund.
     * @param {Schemas["RefundBulkRequest"]} [body]
     * @param {KeyedOptions} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    requestBulkRefund(body?: Schemas["RefundBulkRequest"], options?: KeyedOptions): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * Get a bulk refund.
     * @param {string} bulkId
     * @param {Described["getBulkRefund"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    getBulkRefund(bulkId: string, query?: Described["getBulkRefund"]["parameters"]["query"], options?: Options): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * End a bulk refund early.
     * @param {string} bulkId
     * @param {Schemas["BulkEndRequest"]} body
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    endBulkRefund(bulkId: string, body: Schemas["BulkEndRequest"], options?: Options): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * Pause a bulk refund.
     * @param {string} bulkId
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    pauseBulkRefund(bulkId: string, options?: Options): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * Resume a bulk refund.
     * @param {string} bulkId
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    resumeBulkRefund(bulkId: string, options?: Options): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * Review a bulk refund.
     * @param {string} bulkId
     * @param {Schemas["RefundReviewRequest"]} body
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundReviewedEnvelope"]["data"]>}
     */
    reviewBulkRefund(bulkId: string, body: Schemas["RefundReviewRequest"], options?: Options): Promise<Schemas["RefundReviewedEnvelope"]["data"]>;
    /**
     * Withdraw a bulk refund.
     * @param {string} bulkId
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
     */
    withdrawBulkRefund(bulkId: string, options?: Options): Promise<Schemas["RefundBulkEnvelope"]["data"]>;
    /**
     * Read a balance.
     * @param {string} userId
     * @param {Options} [options]
     * @returns {Promise<Schemas["BalanceEnvelope"]["data"]>}
     */
    getBalance(userId: string, options?: Options): Promise<Schemas["BalanceEnvelope"]["data"]>;
    /**
     * Top up a balance.
     * @param {string} userId
     * @param {Schemas["TopUpRequest"]} body
     * @param {KeyedOptions} [options]
     * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
     */
    createTopUp(userId: string, body: Schemas["TopUpRequest"], options?: KeyedOptions): Promise<Schemas["OrderEnvelope"]["data"]>;
    /**
     * List a balance's transactions.
     * @param {string} userId
     * @param {Described["listBalanceTransactions"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["BalanceTransactionListEnvelope"]["data"]>}
     */
    listBalanceTransactions(userId: string, query?: Described["listBalanceTransactions"]["parameters"]["query"], options?: Options): Promise<Schemas["BalanceTransactionListEnvelope"]["data"]>;
    /**
     * List events.
     * @param {Described["listEvents"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["EventPageEnvelope"]["data"]>}
     */
    listEvents(query?: Described["listEvents"]["parameters"]["query"], options?: Options): Promise<Schemas["EventPageEnvelope"]["data"]>;
    /**
     * List orders.
     * @param {Described["listOrders"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["OrderPageEnvelope"]["data"]>}
     */
    listOrders(query?: Described["listOrders"]["parameters"]["query"], options?: Options): Promise<Schemas["OrderPageEnvelope"]["data"]>;
    /**
     * Create an order.
     * @param {Schemas["OrderCreateRequest"]} body
     * @param {KeyedOptions} [options]
     * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
     */
    createOrder(body: Schemas["OrderCreateRequest"], options?: KeyedOptions): Promise<Schemas["OrderEnvelope"]["data"]>;
    /**
     * Read an order.
     * @param {string} orderId
     * @param {Options} [options]
     * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
     */
    getOrder(orderId: string, options?: Options): Promise<Schemas["OrderEnvelope"]["data"]>;
    /**
     * Cancel an order.
     * @param {string} orderId
     * @param {Options} [options]
     * @returns {Promise<Schemas["OrderCancelledEnvelope"]["data"]>}
     */
    cancelOrder(orderId: string, options?: Options): Promise<Schemas["OrderCancelledEnvelope"]["data"]>;
    /**
     * Create a checkout address.
     * @param {string} orderId
     * @param {Schemas["CashierRequest"]} [body]
     * @param {Options} [options]
     * @returns {Promise<Schemas["CashierEnvelope"]["data"]>}
     */
    createCashierLink(orderId: string, body?: Schemas["CashierRequest"], options?: Options): Promise<Schemas["CashierEnvelope"]["data"]>;
    /**
     * The code to pay with, as SVG.
     * @param {string} orderId
     * @param {Options} [options]
     * @returns {Promise<string>}
     */
    getOrderQrCode(orderId: string, options?: Options): Promise<string>;
    /**
     * Ask the gateway how the order stands.
     * @param {string} orderId
     * @param {Options} [options]
     * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
     */
    syncOrder(orderId: string, options?: Options): Promise<Schemas["OrderEnvelope"]["data"]>;
    /**
     * Pay an order.
     * @param {Schemas["PayRequest"]} body
     * @param {KeyedOptions} [options]
     * @returns {Promise<Schemas["PayResultEnvelope"]["data"]>}
     */
    payOrder(body: Schemas["PayRequest"], options?: KeyedOptions): Promise<Schemas["PayResultEnvelope"]["data"]>;
    /**
     * List prices.
     * @param {Described["listPrices"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["PriceListEnvelope"]["data"]>}
     */
    listPrices(query?: Described["listPrices"]["parameters"]["query"], options?: Options): Promise<Schemas["PriceListEnvelope"]["data"]>;
    /**
     * The price in force today, or on a day.
     * @param {string} serviceType
     * @param {Described["getPrice"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["PriceEnvelope"]["data"]>}
     */
    getPrice(serviceType: string, query?: Described["getPrice"]["parameters"]["query"], options?: Options): Promise<Schemas["PriceEnvelope"]["data"]>;
    /**
     * List refunds.
     * @param {Described["listRefunds"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundPageEnvelope"]["data"]>}
     */
    listRefunds(query?: Described["listRefunds"]["parameters"]["query"], options?: Options): Promise<Schemas["RefundPageEnvelope"]["data"]>;
    /**
     * Request a refund.
     * @param {Schemas["RefundCreateRequest"]} body
     * @param {KeyedOptions} [options]
     * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
     */
    requestRefund(body: Schemas["RefundCreateRequest"], options?: KeyedOptions): Promise<Schemas["RefundEnvelope"]["data"]>;
    /**
     * Read a refund.
     * @param {string} refundId
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
     */
    getRefund(refundId: string, options?: Options): Promise<Schemas["RefundEnvelope"]["data"]>;
    /**
     * Withdraw a refund.
     * @param {string} refundId
     * @param {Options} [options]
     * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
     */
    withdrawRefund(refundId: string, options?: Options): Promise<Schemas["RefundEnvelope"]["data"]>;
    /**
     * Read the statistics.
     * @param {Described["getStatistics"]["parameters"]["query"]} [query]
     * @param {Options} [options]
     * @returns {Promise<Schemas["StatisticsEnvelope"]["data"]>}
     */
    getStatistics(query?: Described["getStatistics"]["parameters"]["query"], options?: Options): Promise<Schemas["StatisticsEnvelope"]["data"]>;
    /**
     * Is the process alive.
     * @param {Options} [options]
     * @returns {Promise<Schemas["HealthLiveEnvelope"]["data"]>}
     */
    getLiveness(options?: Options): Promise<Schemas["HealthLiveEnvelope"]["data"]>;
    /**
     * Can it serve.
     * @param {Options} [options]
     * @returns {Promise<Schemas["HealthReadyEnvelope"]["data"]>}
     */
    getReadiness(options?: Options): Promise<Schemas["HealthReadyEnvelope"]["data"]>;
}
export type Schemas = import("../types/schema.js").components["schemas"];
export type Described = import("../types/schema.js").operations;
export type ErrorCode = "APPOINTMENT_HAS_ORDER" | "BALANCE_LIMIT" | "BALANCE_UNDER_REVIEW" | "BODY_TOO_LARGE" | "BULK_ALREADY_DECIDED" | "BULK_NEEDS_SECOND_PERSON" | "BULK_NOTHING" | "BULK_NOT_RUNNING" | "BULK_SIZE" | "CONFIG_NEEDS_SECOND_PERSON" | "FORBIDDEN" | "GATEWAY_ERROR" | "GATEWAY_UNAVAILABLE" | "IDEMPOTENCY_IN_PROGRESS" | "IDEMPOTENCY_KEY_REUSED" | "INSUFFICIENT_BALANCE" | "INTERNAL_ERROR" | "METHOD_NOT_ALLOWED" | "NOT_ACCEPTABLE" | "NOT_FOUND" | "ORDER_EXPIRED" | "ORDER_NOT_CANCELLABLE" | "ORDER_NOT_PAYABLE" | "ORDER_NOT_REFUNDABLE" | "PRICE_CHANGE_NEEDS_SECOND_PERSON" | "PRICE_MISMATCH" | "PRICE_NOT_FOUND" | "PRICE_REQUIRED" | "RATE_LIMITED" | "REFUND_ALREADY_REVIEWED" | "REFUND_EXCEEDS_PAID" | "REFUND_LIMIT" | "REFUND_NOT_WITHDRAWABLE" | "SELF_REVIEW" | "SERVICE_UNAVAILABLE" | "TOO_MANY_ATTEMPTS" | "TOPUPS_OFF" | "TOPUP_DAY_LIMIT" | "UNAUTHENTICATED" | "UNSUPPORTED_MEDIA_TYPE" | "UNSUPPORTED_METHOD" | "VALIDATION_ERROR";
export type Options = {
    signal?: AbortSignal;
};
export type KeyedOptions = Options & {
    idempotencyKey?: string;
};
export type Call = {
    method: string;
    path: string;
    query?: Record<string, unknown> | undefined;
    body?: unknown;
    takesKey?: boolean | undefined;
    idempotencyKey?: string | undefined;
    ifNoneMatch?: string | undefined;
    signal?: AbortSignal | undefined;
};
