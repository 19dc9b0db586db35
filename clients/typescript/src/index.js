export { Tcmpay } from "./client.js";
export { NoAnswer, Refused, TcmpayError } from "./errors.js";
export { amountText, fenOf } from "./money.js";
export { NotVerified, signWebhook, verifyWebhook } from "./webhooks.js";
