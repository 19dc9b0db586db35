// Never run: `make clients` compiles it strictly, as a consumer of the package would.

import { NoAnswer, NotVerified, Refused, Tcmpay, amountText, fenOf, verifyWebhook } from "tcmpay-client";

const pay = new Tcmpay({ baseUrl: "https://pay.tcm.test", token: async () => "t", language: "en" });

export async function anOrder(): Promise<string> {
  const order = await pay.createOrder(
    { user_id: "u", order_type: "consultation", amount: amountText(fenOf("30.00")) },
    { idempotencyKey: "mine" },
  );
  const status: "pending" | "paid" | "partial_refunded" | "refunded" | "cancelled" | "expired" =
    order.status;
  // @ts-expect-error an amount is text
  const amount: number = order.amount;
  // @ts-expect-error there is no such type of order
  await pay.createOrder({ user_id: "u", order_type: "nonsense", amount: "30.00" });
  // @ts-expect-error there is no such filter
  await pay.listOrders({ nonsense: 1 });
  for await (const one of pay.orders({ status: "paid" })) return one.order_no + amount;
  return status;
}

export async function aRefusal(orderId: string): Promise<string> {
  try {
    const { prepay_data } = await pay.payOrder({ order_id: orderId, payment_method: "wechat" });
    return prepay_data && "paySign" in prepay_data ? prepay_data.paySign : "";
  } catch (error) {
    if (error instanceof NoAnswer) return error.idempotencyKey ?? "";
    if (!(error instanceof Refused)) throw error;
    // @ts-expect-error there is no such code
    if (error.code === "NONSENSE") return "";
    return error.code === "UNAUTHENTICATED" ? (error.reason ?? "") : error.code;
  }
}

export async function anEvent(request: Request): Promise<number> {
  try {
    const body = new Uint8Array(await request.arrayBuffer());
    return (await verifyWebhook(["whsec_a", "whsec_b"], request.headers, body)).object_version;
  } catch (error) {
    if (error instanceof NotVerified && error.reason === "too_old") return 0;
    throw error;
  }
}
