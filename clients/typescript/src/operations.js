// Generated from the API's description by `make clients`: changes are lost.

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
  async _call(call) {
    throw new Error(`no transport for ${call.path}`);
  }

  /**
   * Read a gateway's configuration.
   * @param {string} method
   * @param {Options} [options]
   * @returns {Promise<Schemas["GatewayConfigEnvelope"]["data"]>}
   */
  getGatewayConfig(method, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/admin/config/${encodeURIComponent(method)}`, ...options });
  }

  /**
   * Update one configuration value.
   * @param {string} method
   * @param {Schemas["GatewayConfigRequest"]} body
   * @param {Options} [options]
   * @returns {Promise<Schemas["GatewayConfigUpdatedEnvelope"]["data"]>}
   */
  updateGatewayConfig(method, body, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/config/${encodeURIComponent(method)}`, body, ...options });
  }

  /**
   * Update a price.
   * @param {string} serviceType
   * @param {Schemas["PriceRequest"]} body
   * @param {Options} [options]
   * @returns {Promise<Schemas["PriceEnvelope"]["data"]>}
   */
  updatePrice(serviceType, body, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/prices/${encodeURIComponent(serviceType)}`, body, ...options });
  }

  /**
   * Review a refund.
   * @param {string} refundId
   * @param {Schemas["RefundReviewRequest"]} body
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundReviewedEnvelope"]["data"]>}
   */
  reviewRefund(refundId, body, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/${encodeURIComponent(refundId)}/review`, body, ...options });
  }

  /**
   * Request a bulk refund.
   * @param {Schemas["RefundBulkRequest"]} [body]
   * @param {KeyedOptions} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  requestBulkRefund(body, options = {}) {
    return this._call({ method: "POST", path: "/api/v1/payment/admin/refunds/bulk", body, takesKey: true, ...options });
  }

  /**
   * Get a bulk refund.
   * @param {string} bulkId
   * @param {Described["getBulkRefund"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  getBulkRefund(bulkId, query, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}`, query, ...options });
  }

  /**
   * End a bulk refund early.
   * @param {string} bulkId
   * @param {Schemas["BulkEndRequest"]} body
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  endBulkRefund(bulkId, body, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}/end`, body, ...options });
  }

  /**
   * Pause a bulk refund.
   * @param {string} bulkId
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  pauseBulkRefund(bulkId, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}/pause`, ...options });
  }

  /**
   * Resume a bulk refund.
   * @param {string} bulkId
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  resumeBulkRefund(bulkId, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}/resume`, ...options });
  }

  /**
   * Review a bulk refund.
   * @param {string} bulkId
   * @param {Schemas["RefundReviewRequest"]} body
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundReviewedEnvelope"]["data"]>}
   */
  reviewBulkRefund(bulkId, body, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}/review`, body, ...options });
  }

  /**
   * Withdraw a bulk refund.
   * @param {string} bulkId
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundBulkEnvelope"]["data"]>}
   */
  withdrawBulkRefund(bulkId, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/admin/refunds/bulk/${encodeURIComponent(bulkId)}/withdraw`, ...options });
  }

  /**
   * Read a balance.
   * @param {string} userId
   * @param {Options} [options]
   * @returns {Promise<Schemas["BalanceEnvelope"]["data"]>}
   */
  getBalance(userId, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/balance/${encodeURIComponent(userId)}`, ...options });
  }

  /**
   * Top up a balance.
   * @param {string} userId
   * @param {Schemas["TopUpRequest"]} body
   * @param {KeyedOptions} [options]
   * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
   */
  createTopUp(userId, body, options = {}) {
    return this._call({ method: "POST", path: `/api/v1/payment/balance/${encodeURIComponent(userId)}/topups`, body, takesKey: true, ...options });
  }

  /**
   * List a balance's transactions.
   * @param {string} userId
   * @param {Described["listBalanceTransactions"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["BalanceTransactionListEnvelope"]["data"]>}
   */
  listBalanceTransactions(userId, query, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/balance/${encodeURIComponent(userId)}/transactions`, query, ...options });
  }

  /**
   * List events.
   * @param {Described["listEvents"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["EventPageEnvelope"]["data"]>}
   */
  listEvents(query, options = {}) {
    return this._call({ method: "GET", path: "/api/v1/payment/events", query, ...options });
  }

  /**
   * List orders.
   * @param {Described["listOrders"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["OrderPageEnvelope"]["data"]>}
   */
  listOrders(query, options = {}) {
    return this._call({ method: "GET", path: "/api/v1/payment/orders", query, ...options });
  }

  /**
   * Create an order.
   * @param {Schemas["OrderCreateRequest"]} body
   * @param {KeyedOptions} [options]
   * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
   */
  createOrder(body, options = {}) {
    return this._call({ method: "POST", path: "/api/v1/payment/orders", body, takesKey: true, ...options });
  }

  /**
   * Read an order.
   * @param {string} orderId
   * @param {Options} [options]
   * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
   */
  getOrder(orderId, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/orders/${encodeURIComponent(orderId)}`, ...options });
  }

  /**
   * Cancel an order.
   * @param {string} orderId
   * @param {Options} [options]
   * @returns {Promise<Schemas["OrderCancelledEnvelope"]["data"]>}
   */
  cancelOrder(orderId, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/orders/${encodeURIComponent(orderId)}/cancel`, ...options });
  }

  /**
   * Create a checkout address.
   * @param {string} orderId
   * @param {Schemas["CashierRequest"]} [body]
   * @param {Options} [options]
   * @returns {Promise<Schemas["CashierEnvelope"]["data"]>}
   */
  createCashierLink(orderId, body, options = {}) {
    return this._call({ method: "POST", path: `/api/v1/payment/orders/${encodeURIComponent(orderId)}/cashier`, body, ...options });
  }

  /**
   * The code to pay with, as SVG.
   * @param {string} orderId
   * @param {Options} [options]
   * @returns {Promise<string>}
   */
  getOrderQrCode(orderId, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/orders/${encodeURIComponent(orderId)}/qr.svg`, ...options });
  }

  /**
   * Ask the gateway how the order stands.
   * @param {string} orderId
   * @param {Options} [options]
   * @returns {Promise<Schemas["OrderEnvelope"]["data"]>}
   */
  syncOrder(orderId, options = {}) {
    return this._call({ method: "POST", path: `/api/v1/payment/orders/${encodeURIComponent(orderId)}/sync`, ...options });
  }

  /**
   * Pay an order.
   * @param {Schemas["PayRequest"]} body
   * @param {KeyedOptions} [options]
   * @returns {Promise<Schemas["PayResultEnvelope"]["data"]>}
   */
  payOrder(body, options = {}) {
    return this._call({ method: "POST", path: "/api/v1/payment/pay", body, takesKey: true, ...options });
  }

  /**
   * List prices.
   * @param {Described["listPrices"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["PriceListEnvelope"]["data"]>}
   */
  listPrices(query, options = {}) {
    return this._call({ method: "GET", path: "/api/v1/payment/prices", query, ...options });
  }

  /**
   * The price in force today, or on a day.
   * @param {string} serviceType
   * @param {Described["getPrice"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["PriceEnvelope"]["data"]>}
   */
  getPrice(serviceType, query, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/prices/${encodeURIComponent(serviceType)}`, query, ...options });
  }

  /**
   * List refunds.
   * @param {Described["listRefunds"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundPageEnvelope"]["data"]>}
   */
  listRefunds(query, options = {}) {
    return this._call({ method: "GET", path: "/api/v1/payment/refunds", query, ...options });
  }

  /**
   * Request a refund.
   * @param {Schemas["RefundCreateRequest"]} body
   * @param {KeyedOptions} [options]
   * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
   */
  requestRefund(body, options = {}) {
    return this._call({ method: "POST", path: "/api/v1/payment/refunds", body, takesKey: true, ...options });
  }

  /**
   * Read a refund.
   * @param {string} refundId
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
   */
  getRefund(refundId, options = {}) {
    return this._call({ method: "GET", path: `/api/v1/payment/refunds/${encodeURIComponent(refundId)}`, ...options });
  }

  /**
   * Withdraw a refund.
   * @param {string} refundId
   * @param {Options} [options]
   * @returns {Promise<Schemas["RefundEnvelope"]["data"]>}
   */
  withdrawRefund(refundId, options = {}) {
    return this._call({ method: "PUT", path: `/api/v1/payment/refunds/${encodeURIComponent(refundId)}/withdraw`, ...options });
  }

  /**
   * Read the statistics.
   * @param {Described["getStatistics"]["parameters"]["query"]} [query]
   * @param {Options} [options]
   * @returns {Promise<Schemas["StatisticsEnvelope"]["data"]>}
   */
  getStatistics(query, options = {}) {
    return this._call({ method: "GET", path: "/api/v1/payment/statistics", query, ...options });
  }

  /**
   * Is the process alive.
   * @param {Options} [options]
   * @returns {Promise<Schemas["HealthLiveEnvelope"]["data"]>}
   */
  getLiveness(options = {}) {
    return this._call({ method: "GET", path: "/health/live", ...options });
  }

  /**
   * Can it serve.
   * @param {Options} [options]
   * @returns {Promise<Schemas["HealthReadyEnvelope"]["data"]>}
   */
  getReadiness(options = {}) {
    return this._call({ method: "GET", path: "/health/ready", ...options });
  }
}
