// openapi-typescript with openapi-fetch: create, pay, poll, refund, list, errors.
import createClient from "openapi-fetch";
import type { components, paths } from "../build/openapi-typescript/schema";
import { BASE, NOBODYS, TOKEN, USER, expect, never, payAtTheGateway, until } from "./world";

type Order = components["schemas"]["Order"];

const client = createClient<paths>({
  baseUrl: BASE,
  headers: { Authorization: `Bearer ${TOKEN}`, "Accept-Language": "en" },
});

async function ordered(amount: string): Promise<Order> {
  const { data, error } = await client.POST("/api/v1/payment/orders", {
    params: { header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { user_id: USER, order_type: "consultation", amount },
  });
  expect(data, `an order (${error?.code})`);
  return data.data;
}

const order = await ordered("30.00");
expect(order.status === "pending" && order.amount === "30.00", "a pending order of 30.00");
expect(order.payment_method === null, "not paid by anything yet");

const started = await client.POST("/api/v1/payment/pay", {
  body: { order_id: order.id, payment_method: "wechat", scene: "native" },
});
expect(started.data?.data.qr_code?.startsWith("weixin://"), "a code to show");
await payAtTheGateway(order.order_no);
const paid = await until(
  async () => {
    const { data } = await client.GET("/api/v1/payment/orders/{order_id}", {
      params: { path: { order_id: order.id } },
    });
    expect(data, "the order");
    return data.data;
  },
  (found) => found.status !== "pending",
);
expect(paid.status === "paid" && paid.payment_method === "wechat", "paid by WeChat");

const refund = await client.POST("/api/v1/payment/refunds", {
  body: { order_id: order.id, refund_amount: "5.00", refund_reason: "trial" },
});
expect(refund.data?.data.status === "pending", "a refund that waits for review");
const refunds = await client.GET("/api/v1/payment/refunds", {
  params: { query: { order_id: order.id, status: "pending,processing" } },
});
expect(refunds.data?.data.refunds[0]?.refund_amount === "5.00", "the refund in the list");
const orders = await client.GET("/api/v1/payment/orders", {
  params: { query: { status: "paid", cursor: "", page_size: 5 } },
});
expect(orders.data?.data.orders.some((one) => one.id === order.id), "the order in the list");
expect(orders.response.headers.get("X-Request-ID"), "an id of the request");

const inApp = await ordered("1.00");
const handed = await client.POST("/api/v1/payment/pay", {
  body: { order_id: inApp.id, payment_method: "wechat", scene: "jsapi", openid: "oUpF8uMuAJO" },
});
const prepay = handed.data?.data.prepay_data;
expect(prepay && "paySign" in prepay && prepay.signType === "RSA", "what WeChat's page needs");

const again = await client.POST("/api/v1/payment/pay", {
  body: { order_id: order.id, payment_method: "balance" },
});
expect(again.error && again.response.status === 400, "no second payment");
expect(again.error.code === "ORDER_NOT_PAYABLE", again.error.code);
const wrong = await client.POST("/api/v1/payment/orders", {
  body: { user_id: USER, order_type: "consultation", amount: "0.001" },
});
expect(wrong.error?.code === "VALIDATION_ERROR", "an amount that is refused");
expect("errors" in wrong.error && wrong.error.errors?.amount?.[0], "and which field it was");
const missing = await client.GET("/api/v1/payment/orders/{order_id}", {
  params: { path: { order_id: NOBODYS } },
});
expect(missing.error, "no such order");
switch (missing.error.code) {
  case "NOT_FOUND":
    break;
  case "UNAUTHENTICATED":
  case "FORBIDDEN":
  case "NOT_ACCEPTABLE":
  case "BODY_TOO_LARGE":
  case "RATE_LIMITED":
  case "INTERNAL_ERROR":
  case "SERVICE_UNAVAILABLE":
    throw new Error(missing.error.code);
  default:
    never(missing.error);
}
const stranger = await client.GET("/api/v1/payment/orders", {
  headers: { Authorization: null },
});
expect(stranger.error?.code === "UNAUTHENTICATED", "a token is needed");
const { data: prices } = await client.GET("/api/v1/payment/prices");
expect(prices?.data[0]?.price.includes("."), "prices are public");
console.log("openapi-fetch: created, paid, polled, refunded, listed, refused");
