// Events that the service delivers: is a message from it, and from now? (Standard Webhooks)

const TOLERANCE_SECONDS = 300;
const encoder = new TextEncoder();

/**
 * Of several about one object only the one with the highest `object_version` counts: drop what is
 * older than what you have, and what you have already (`id`).
 * @typedef {object} WebhookEvent
 * @property {string} id
 * @property {number | null} sequence
 * @property {string} type
 * @property {string} created_at
 * @property {string} object_type
 * @property {string} object_id
 * @property {number} object_version
 * @property {Record<string, unknown>} data
 */

/** Answer 400 and do nothing. */
export class NotVerified extends Error {
  /** @param {"missing" | "malformed" | "too_old" | "too_new" | "signature"} reason */
  constructor(reason) {
    super(reason);
    this.name = "NotVerified";
    this.reason = reason;
  }
}

/**
 * The event in `body`, the bytes or text exactly as they came. While a secret is being replaced
 * give both. Throws NotVerified.
 * @param {string | string[]} secrets `whsec_…`
 * @param {Headers | Record<string, string | string[] | undefined>} headers
 * @param {Uint8Array | string} body
 * @param {{toleranceSeconds?: number, now?: number}} [options] `now` in unix seconds
 * @returns {Promise<WebhookEvent>}
 */
export async function verifyWebhook(secrets, headers, body, options = {}) {
  const id = headerOf(headers, "webhook-id");
  const stamp = headerOf(headers, "webhook-timestamp");
  const signatures = headerOf(headers, "webhook-signature");
  if (!id || !stamp || !signatures) throw new NotVerified("missing");
  if (!/^[0-9]{1,12}$/.test(stamp)) throw new NotVerified("malformed");
  const age = (options.now ?? Date.now() / 1000) - Number(stamp);
  if (Math.abs(age) > (options.toleranceSeconds ?? TOLERANCE_SECONDS)) {
    throw new NotVerified(age > 0 ? "too_old" : "too_new");
  }
  const message = contentOf(id, stamp, body);
  const given = signatures.split(" ").filter((one) => one.startsWith("v1,"));
  let isFound = false;
  for (const secret of [secrets].flat()) {
    const key = await keyOf(secret, "verify");
    for (const signature of given) {
      const bytes = bytesOf(signature.slice(3));
      // WebCrypto compares in constant time.
      if (bytes && (await crypto.subtle.verify("HMAC", key, bytes, message))) isFound = true;
    }
  }
  if (!isFound) throw new NotVerified("signature");
  try {
    const event = JSON.parse(typeof body === "string" ? body : new TextDecoder().decode(body));
    if (event && typeof event === "object" && !Array.isArray(event)) return event;
  } catch {
    // told below
  }
  throw new NotVerified("malformed");
}

/**
 * The signature of one message, for tests of your own receiver.
 * @param {string} secret
 * @param {string} id
 * @param {number} timestamp unix seconds
 * @param {Uint8Array | string} body
 */
export async function signWebhook(secret, id, timestamp, body) {
  const key = await keyOf(secret, "sign");
  const mac = await crypto.subtle.sign("HMAC", key, contentOf(id, String(timestamp), body));
  return `v1,${btoa(String.fromCharCode(...new Uint8Array(mac)))}`;
}

/**
 * @param {string} id
 * @param {string} stamp
 * @param {Uint8Array | string} body
 */
function contentOf(id, stamp, body) {
  const head = encoder.encode(`${id}.${stamp}.`);
  const rest = typeof body === "string" ? encoder.encode(body) : body;
  const content = new Uint8Array(head.length + rest.length);
  content.set(head);
  content.set(rest, head.length);
  return content;
}

/**
 * @param {string} secret
 * @param {"sign" | "verify"} use
 */
function keyOf(secret, use) {
  const bytes = bytesOf(secret.replace(/^whsec_/, ""));
  if (!bytes?.length) throw new TypeError("a webhook's secret is whsec_ and base64");
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [use]);
}

/** @param {string} base64 */
function bytesOf(base64) {
  try {
    return Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/**
 * @param {Headers | Record<string, string | string[] | undefined>} headers
 * @param {string} name
 */
function headerOf(headers, name) {
  if (headers instanceof Headers) return headers.get(name) ?? "";
  for (const [key, value] of Object.entries(headers)) {
    if (key.toLowerCase() === name) return String(value ?? "");
  }
  return "";
}
