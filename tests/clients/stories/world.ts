// What every story of a client needs to know of the demo that it runs against.

function setting(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export const BASE = setting("TCMPAY_BASE");
export const TOKEN = setting("TCMPAY_TOKEN");
export const USER = setting("TCMPAY_USER");
const GATEWAYS = setting("TCMPAY_GATEWAYS");
export const NOBODYS = "00000000-0000-4000-8000-000000000000";

export function expect(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(`not as expected: ${what}`);
}

/** What no code of the description's leads to: the compiler knows that all were looked at. */
export function never(code: never): never {
  throw new Error(`a code that is not described: ${String(code)}`);
}

/** The payer pays at the stand-in, which then tells the product. */
export async function payAtTheGateway(orderNo: string): Promise<void> {
  const answer = await fetch(`${GATEWAYS}/_control/pay`, {
    method: "POST",
    body: JSON.stringify({ channel: "wechat", out_trade_no: orderNo }),
  });
  expect(answer.ok, `the stand-in took the payment (${answer.status})`);
}

export async function until<T>(ask: () => Promise<T>, isDone: (found: T) => boolean): Promise<T> {
  for (let tries = 0; tries < 120; tries += 1) {
    const found = await ask();
    if (isDone(found)) return found;
    await new Promise((done) => setTimeout(done, 500));
  }
  throw new Error("waited for a minute");
}
