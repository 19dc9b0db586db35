/** @typedef {import("./operations.js").ErrorCode} ErrorCode */
/** Base of both. With `idempotencyKey` the same call may be made again later. */
export class TcmpayError extends Error {
    /** @type {string | undefined} */
    idempotencyKey: string | undefined;
}
/** The service answered and refused. Branch on `code`; `message` is for people. */
export class Refused extends TcmpayError {
    /**
     * @param {number} status
     * @param {Record<string, any>} body
     * @param {number | undefined} retryAfterSeconds
     */
    constructor(status: number, body: Record<string, any>, retryAfterSeconds: number | undefined);
    status: number;
    /** @type {ErrorCode} */
    code: ErrorCode;
    /** @type {import("./operations.js").Schemas["TokenProblem"] | undefined} */
    reason: import("./operations.js").Schemas["TokenProblem"] | undefined;
    /** @type {Record<string, string[]>} */
    errors: Record<string, string[]>;
    /** @type {unknown} */
    data: unknown;
    /** @type {string} */
    requestId: string;
    retryAfterSeconds: number | undefined;
}
/** The network or something between failed: it is not known whether the call did anything. */
export class NoAnswer extends TcmpayError {
    /** @param {unknown} cause */
    constructor(cause: unknown);
}
export type ErrorCode = import("./operations.js").ErrorCode;
