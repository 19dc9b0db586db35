// The client: every call of the API as a method, typed, with what goes beyond one call.

import { Operations } from "./operations.js";
import { send, sleepFor } from "./transport.js";

/** @typedef {import("./operations.js").Schemas} Schemas */
/** @typedef {import("./operations.js").Described} Described */

/** Every method throws Refused (branch on its `code`) or NoAnswer. */
export class Tcmpay extends Operations {
  /** @param {import("./transport.js").ClientOptions} options */
  constructor(options) {
    super();
    this._options = options;
  }

  /** @param {import("./operations.js").Call} call */
  async _call(call) {
    return dataOf(await send(this._options, call));
  }

  /**
   * Every order that `listOrders` would list, however many, none missed or repeated.
   * @param {Described["listOrders"]["parameters"]["query"]} [filters]
   * @returns {AsyncGenerator<Schemas["Order"]>}
   */
  async *orders(filters = {}) {
    for (let cursor = /** @type {string | null} */ (""); cursor !== null; ) {
      const page = await this.listOrders({ page_size: 100, ...filters, cursor });
      yield* page.orders;
      cursor = page.next_cursor ?? null;
    }
  }

  /**
   * Every refund that `listRefunds` would list.
   * @param {Described["listRefunds"]["parameters"]["query"]} [filters]
   * @returns {AsyncGenerator<Schemas["Refund"]>}
   */
  async *refunds(filters = {}) {
    for (let cursor = /** @type {string | null} */ (""); cursor !== null; ) {
      const page = await this.listRefunds({ page_size: 100, ...filters, cursor });
      yield* page.refunds;
      cursor = page.next_cursor ?? null;
    }
  }

  /**
   * Every event after the sequence `after` that there is by now, in order: from it a receiver that
   * was away rebuilds what it missed.
   * @param {number} [after]
   * @param {string} [types]
   * @returns {AsyncGenerator<Schemas["Event"]>}
   */
  async *events(after = 0, types) {
    for (;;) {
      const page = await this.listEvents({ after, types, limit: 500 });
      if (!page.events.length) return;
      yield* page.events;
      after = page.next_after;
    }
  }

  /**
   * The order once it is not `pending` any more, or as it is after `secondsMax`. Asks cheaply:
   * while nothing changed the answer has no body.
   * @param {string} orderId
   * @param {{secondsMax?: number, everySeconds?: number, signal?: AbortSignal}} [options]
   * @returns {Promise<Schemas["Order"]>}
   */
  async waitForOrder(orderId, { secondsMax = 120, everySeconds = 2, signal } = {}) {
    const path = `/api/v1/payment/orders/${encodeURIComponent(orderId)}`;
    const sleep = this._options.sleep ?? sleepFor;
    let answer = await send(this._options, { method: "GET", path, signal });
    let etag = answer.headers.get("etag") ?? undefined;
    let order = await dataOf(answer);
    for (let waited = 0; order.status === "pending" && waited < secondsMax; ) {
      await sleep(everySeconds);
      waited += everySeconds;
      answer = await send(this._options, { method: "GET", path, ifNoneMatch: etag, signal });
      if (answer.status === 304) continue;
      etag = answer.headers.get("etag") ?? undefined;
      order = await dataOf(answer);
    }
    return order;
  }
}

/**
 * @param {Response} answer
 * @returns {Promise<any>}
 */
async function dataOf(answer) {
  const isJson = answer.headers.get("content-type")?.startsWith("application/json");
  return isJson ? (await answer.json()).data : answer.text();
}
