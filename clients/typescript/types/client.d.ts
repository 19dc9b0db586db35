/** @typedef {import("./operations.js").Schemas} Schemas */
/** @typedef {import("./operations.js").Described} Described */
/** Every method throws Refused (branch on its `code`) or NoAnswer. */
export class Tcmpay extends Operations {
    /** @param {import("./transport.js").ClientOptions} options */
    constructor(options: import("./transport.js").ClientOptions);
    _options: import("./transport.js").ClientOptions;
    /**
     * Every order that `listOrders` would list, however many, none missed or repeated.
     * @param {Described["listOrders"]["parameters"]["query"]} [filters]
     * @returns {AsyncGenerator<Schemas["Order"]>}
     */
    orders(filters?: Described["listOrders"]["parameters"]["query"]): AsyncGenerator<Schemas["Order"]>;
    /**
     * Every refund that `listRefunds` would list.
     * @param {Described["listRefunds"]["parameters"]["query"]} [filters]
     * @returns {AsyncGenerator<Schemas["Refund"]>}
     */
    refunds(filters?: Described["listRefunds"]["parameters"]["query"]): AsyncGenerator<Schemas["Refund"]>;
    /**
     * Every event after the sequence `after` that there is by now, in order: from it a receiver that
     * was away rebuilds what it missed.
     * @param {number} [after]
     * @param {string} [types]
     * @returns {AsyncGenerator<Schemas["Event"]>}
     */
    events(after?: number, types?: string): AsyncGenerator<Schemas["Event"]>;
    /**
     * The order once it is not `pending` any more, or as it is after `secondsMax`. Asks cheaply:
     * while nothing changed the answer has no body.
     * @param {string} orderId
     * @param {{secondsMax?: number, everySeconds?: number, signal?: AbortSignal}} [options]
     * @returns {Promise<Schemas["Order"]>}
     */
    waitForOrder(orderId: string, { secondsMax, everySeconds, signal }?: {
        secondsMax?: number;
        everySeconds?: number;
        signal?: AbortSignal;
    }): Promise<Schemas["Order"]>;
}
export type Schemas = import("./operations.js").Schemas;
export type Described = import("./operations.js").Described;
import { Operations } from "./operations.js";
