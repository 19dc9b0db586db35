// Calls over HTTP that are made again where that is safe, and only there.

import { NoAnswer, Refused } from "./errors.js";

// Worth another try where the call may be made twice. 502 is the gateway's own no.
const PASSING = new Set([500, 503, 504]);

/**
 * How often and how long a call is tried again (seconds). A longer Retry-After is the caller's.
 * @typedef {object} Patience
 * @property {number} [attempts]
 * @property {number} [firstWait]
 * @property {number} [longestWait]
 * @property {number} [retryAfterMax]
 */
/**
 * @typedef {object} ClientOptions
 * @property {string} baseUrl such as https://pay.example.cn
 * @property {string | (() => string | Promise<string>)} [token] a platform token, or what gives one
 * @property {"zh-hans" | "en"} [language]
 * @property {number} [timeoutSeconds] of one try
 * @property {Patience} [patience]
 * @property {typeof fetch} [fetch]
 * @property {(seconds: number) => Promise<void>} [sleep]
 */
/** @typedef {import("./operations.js").Call} Call */

/** @param {number} seconds */
export const sleepFor = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/**
 * The answer, which may be 304. Throws Refused, NoAnswer.
 * @param {ClientOptions} options
 * @param {Call} call
 * @returns {Promise<Response>}
 */
export async function send(options, call) {
  const patience = { attempts: 4, firstWait: 0.5, longestWait: 8, retryAfterMax: 60 };
  Object.assign(patience, options.patience);
  const sleep = options.sleep ?? sleepFor;
  const key = call.takesKey ? (call.idempotencyKey ?? crypto.randomUUID()) : undefined;
  const isRepeatable = call.method === "GET" || Boolean(call.takesKey);
  for (let attempt = 1; ; attempt += 1) {
    const isLast = attempt >= patience.attempts;
    const usual = Math.min(patience.longestWait, patience.firstWait * 2 ** (attempt - 1));
    // Not the same for everybody who was cut off at once.
    let wait = usual * (0.5 + Math.random() / 2);
    try {
      const answer = await once(options, call, key);
      if (answer.status < 400) return answer;
      const refused = await refusedOf(answer);
      const isWorthIt =
        refused.status === 429 ||
        (isRepeatable &&
          (PASSING.has(refused.status) || refused.code === "IDEMPOTENCY_IN_PROGRESS"));
      const asked = refused.retryAfterSeconds;
      if (isLast || !isWorthIt || (asked ?? 0) > patience.retryAfterMax) throw refused;
      if (asked !== undefined) wait = asked + Math.random() / 2;
    } catch (error) {
      const told = error instanceof Refused ? error : new NoAnswer(error);
      told.idempotencyKey = key;
      const mayGoOn = told instanceof NoAnswer && isRepeatable && !call.signal?.aborted;
      if (told instanceof Refused || isLast || !mayGoOn) throw told;
    }
    await sleep(wait);
  }
}

/**
 * @param {ClientOptions} options
 * @param {Call} call
 * @param {string | undefined} key
 */
async function once(options, call, key) {
  const address = new URL(options.baseUrl.replace(/\/$/, "") + call.path);
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined && value !== null) address.searchParams.set(name, String(value));
  }
  /** @type {Record<string, string>} */
  const headers = { Accept: "*/*", "Accept-Language": options.language ?? "zh-hans" };
  const token = typeof options.token === "function" ? await options.token() : options.token;
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (call.ifNoneMatch) headers["If-None-Match"] = call.ifNoneMatch;
  if (call.body !== undefined) headers["Content-Type"] = "application/json";
  const timeout = AbortSignal.timeout((options.timeoutSeconds ?? 15) * 1000);
  return (options.fetch ?? fetch)(address, {
    method: call.method,
    headers,
    body: call.body === undefined ? undefined : JSON.stringify(call.body),
    // A token goes to the address that it was meant for, and no further.
    redirect: "error",
    signal: call.signal ? AbortSignal.any([call.signal, timeout]) : timeout,
  });
}

/** @param {Response} answer */
async function refusedOf(answer) {
  const body = await answer.json().catch(() => ({}));
  const waiting = answer.headers.get("retry-after") ?? "";
  const seconds = /^[0-9]+$/.test(waiting) ? Number(waiting) : undefined;
  return new Refused(answer.status, body ?? {}, seconds);
}
