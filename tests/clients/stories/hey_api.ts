// @hey-api/openapi-ts: create, pay, poll, refund, list, errors.
import {
  createOrder,
  getOrder,
  listBalanceTransactions,
  listOrders,
  listRefunds,
  payOrder,
  requestRefund,
} from "../build/hey-api";
import { client } from "../build/hey-api/client.gen";
import { BASE, NOBODYS, TOKEN, USER, expect, payAtTheGateway, until } from "./world";

client.setConfig({ baseUrl: BASE, auth: () => TOKEN });

const created = await createOrder({
  body: { user_id: USER, order_type: "consultation", service_type: "consultation" },
  headers: { "Idempotency-Key": crypto.randomUUID() },
});
const order = created.data?.data;
expect(order?.status === "pending", "a pending order");

const started = await payOrder({ body: { order_id: order.id, payment_method: "wechat" } });
expect(started.data?.data.qr_code, "a code to show");
await payAtTheGateway(order.order_no);
const paid = await until(
  async () => (await getOrder({ path: { order_id: order.id } })).data?.data,
  (found) => found?.status !== "pending",
);
expect(paid?.status === "paid", "paid");

const refund = await requestRefund({
  body: { order_id: order.id, refund_amount: "1.00", refund_reason: "trial" },
});
expect(refund.data?.data.order_id === order.id, "a refund of the order");
const refunds = await listRefunds({ query: { order_id: order.id } });
expect(refunds.data?.data.total === 1, "one refund in the list");
const orders = await listOrders({ query: { ids: order.id } });
expect(orders.data?.data.orders[0]?.order_no === order.order_no, "the order by its id");
const entries = await listBalanceTransactions({ path: { user_id: USER } });
expect(entries.data?.data[0]?.transaction_type, "movements of the balance");
expect(Number(entries.response?.headers.get("X-Total-Count")) > 0, "and how many there are");

const again = await payOrder({ body: { order_id: order.id, payment_method: "balance" } });
expect(again.error?.code === "ORDER_NOT_PAYABLE", "no second payment");
const wrong = await createOrder({
  body: { user_id: USER, order_type: "consultation", amount: "-1" },
});
expect(wrong.error?.code === "VALIDATION_ERROR", "an amount that is refused");
const missing = await getOrder({ path: { order_id: NOBODYS } });
expect(missing.error?.code === "NOT_FOUND", "no such order");
const stranger = await listOrders({ auth: () => undefined });
expect(stranger.error?.code === "UNAUTHENTICATED", "a token is needed");
console.log("hey-api: created, paid, polled, refunded, listed, refused");
