// orval with fetch: create, pay, poll, refund, list, errors. Its addresses begin at the server.
import * as api from "../build/orval/client";
import { BASE, NOBODYS, TOKEN, USER, expect, payAtTheGateway, until } from "./world";

const plain = globalThis.fetch;
globalThis.fetch = (address, options) =>
  plain(String(address).startsWith("/") ? `${BASE}${String(address)}` : address, options);
const signedIn: RequestInit = { headers: { Authorization: `Bearer ${TOKEN}` } };

const created = await api.createOrder(
  { user_id: USER, order_type: "consultation", amount: "12.00" },
  signedIn,
);
expect(created.status === 201, "created");
const order = created.data.data;

const started = await api.payOrder({ order_id: order.id, payment_method: "wechat" }, signedIn);
expect(started.status === 200 && started.data.data.qr_code, "a code to show");
await payAtTheGateway(order.order_no);
const paid = await until(
  () => api.getOrder(order.id, signedIn),
  (found) => found.status !== 200 || found.data.data.status !== "pending",
);
expect(paid.status === 200 && paid.data.data.status === "paid", "paid");

const refund = await api.requestRefund(
  { order_id: order.id, refund_amount: "2.00", refund_reason: "trial" },
  signedIn,
);
expect(refund.status === 201 && refund.data.data.approvals_needed === 1, "a refund");
const refunds = await api.listRefunds({ order_id: order.id }, signedIn);
expect(refunds.status === 200 && refunds.data.data.refunds.length === 1, "in the list");
const orders = await api.listOrders({ order_no: order.order_no }, signedIn);
expect(orders.status === 200 && orders.data.data.total === 1, "the order by its number");

const again = await api.payOrder({ order_id: order.id, payment_method: "balance" }, signedIn);
expect(again.status === 400 && again.data.code === "ORDER_NOT_PAYABLE", "no second payment");
const wrong = await api.createOrder(
  { user_id: USER, order_type: "consultation", amount: "1.234" },
  signedIn,
);
expect(wrong.status === 400 && wrong.data.code === "VALIDATION_ERROR", "refused");
expect(wrong.data.errors?.amount, "and which field it was");
const missing = await api.getOrder(NOBODYS, signedIn);
expect(missing.status === 404 && missing.data.code === "NOT_FOUND", "no such order");
const stranger = await api.listOrders();
expect(stranger.status === 401 && stranger.data.code === "UNAUTHENTICATED", "a token is needed");
console.log("orval: created, paid, polled, refunded, listed, refused");
