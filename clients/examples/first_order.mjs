// From an order to its refund, as a platform does it: its back end's token orders and asks for
// money back, the patient's token pays.
//
//   node clients/examples/first_order.mjs BASE SERVICE_TOKEN PATIENT_ID PATIENT_TOKEN

import { Refused, Tcmpay, fenOf } from "../typescript/src/index.js";

const [baseUrl, serviceToken, patientId, patientToken] = process.argv.slice(2);
const service = new Tcmpay({ baseUrl, token: serviceToken });
const patient = new Tcmpay({ baseUrl, token: patientToken });

const order = await service.createOrder({
  user_id: patientId,
  order_type: "consultation",
  amount: "30.00",
});
await patient.payOrder({ order_id: order.id, payment_method: "balance" });
const paid = await service.waitForOrder(order.id);
console.log(`${paid.order_no}: ${paid.status}, ${fenOf(paid.refundable_amount)} fen may go back`);

const refund = await service.requestRefund({
  order_id: order.id,
  refund_amount: "30.00",
  refund_reason: "未使用",
});
console.log(`${refund.refund_no}: ${refund.status}`);

try {
  await patient.payOrder({ order_id: order.id, payment_method: "balance" });
} catch (error) {
  if (!(error instanceof Refused) || error.code !== "ORDER_NOT_PAYABLE") throw error;
  console.log(`a second payment is refused: ${error.code}`);
}
for await (const one of service.orders({ user_id: patientId, status: "paid" })) {
  console.log(`listed: ${one.order_no} ${one.amount}`);
  break;
}
