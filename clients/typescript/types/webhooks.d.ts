/**
 * The event in `body`, the bytes or text exactly as they came. While a secret is being replaced
 * give both. Throws NotVerified.
 * @param {string | string[]} secrets `whsec_…`
 * @param {Headers | Record<string, string | string[] | undefined>} headers
 * @param {Uint8Array | string} body
 * @param {{toleranceSeconds?: number, now?: number}} [options] `now` in unix seconds
 * @returns {Promise<WebhookEvent>}
 */
export function verifyWebhook(secrets: string | string[], headers: Headers | Record<string, string | string[] | undefined>, body: Uint8Array | string, options?: {
    toleranceSeconds?: number;
    now?: number;
}): Promise<WebhookEvent>;
/**
 * The signature of one message, for tests of your own receiver.
 * @param {string} secret
 * @param {string} id
 * @param {number} timestamp unix seconds
 * @param {Uint8Array | string} body
 */
export function signWebhook(secret: string, id: string, timestamp: number, body: Uint8Array | string): Promise<string>;
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
    constructor(reason: "missing" | "malformed" | "too_old" | "too_new" | "signature");
    reason: "missing" | "malformed" | "signature" | "too_old" | "too_new";
}
/**
 * Of several about one object only the one with the highest `object_version` counts: drop what is
 * older than what you have, and what you have already (`id`).
 */
export type WebhookEvent = {
    id: string;
    sequence: number | null;
    type: string;
    created_at: string;
    object_type: string;
    object_id: string;
    object_version: number;
    data: Record<string, unknown>;
};
