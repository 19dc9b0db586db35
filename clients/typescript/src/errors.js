// What can go wrong: a refusal of the service, or no answer at all.

/** @typedef {import("./operations.js").ErrorCode} ErrorCode */

/** Base of both. With `idempotencyKey` the same call may be made again later. */
export class TcmpayError extends Error {
  /** @type {string | undefined} */
  idempotencyKey;
}

/** The service answered and refused. Branch on `code`; `message` is for people. */
export class Refused extends TcmpayError {
  /**
   * @param {number} status
   * @param {Record<string, any>} body
   * @param {number | undefined} retryAfterSeconds
   */
  constructor(status, body, retryAfterSeconds) {
    super(body.message ?? `HTTP ${status}`);
    this.name = "Refused";
    this.status = status;
    /** @type {ErrorCode} */
    this.code = body.code;
    /** @type {import("./operations.js").Schemas["TokenProblem"] | undefined} */
    this.reason = body.reason;
    /** @type {Record<string, string[]>} */
    this.errors = body.errors ?? {};
    /** @type {unknown} */
    this.data = body.data;
    /** @type {string} */
    this.requestId = body.request_id ?? "";
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** The network or something between failed: it is not known whether the call did anything. */
export class NoAnswer extends TcmpayError {
  /** @param {unknown} cause */
  constructor(cause) {
    super(`no answer: ${cause}`, { cause });
    this.name = "NoAnswer";
  }
}
