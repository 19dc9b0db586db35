// A platform in fifty lines: takes the payment service's events and says how an order stands.
//
//   node clients/examples/webhook_receiver.mjs PORT WHSEC
//
// POST /webhooks takes events; GET /orders/ID answers {"status": ...} from what they said.

import { createServer } from "node:http";
import { NotVerified, verifyWebhook } from "../typescript/src/index.js";

const [port, secret] = process.argv.slice(2);
// id → version and status. A database in earnest, written before the answer.
const orders = new Map();
const BODY_BYTES_MAX = 1 << 20;

async function take(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > BODY_BYTES_MAX) throw new Error("too long");
    parts.push(part);
  }
  const event = await verifyWebhook(secret, request.headers, Buffer.concat(parts));
  const { type, object_type, object_id, object_version } = event;
  console.log(`${type} ${object_type} ${object_id} version ${object_version}`);
  if (event.object_type !== "order" || !event.data?.status) return;
  // The same event again, or an older one: what we have is newer.
  if (event.object_version > (orders.get(event.object_id)?.version ?? 0)) {
    orders.set(event.object_id, { version: event.object_version, status: event.data.status });
  }
}

createServer(async (request, response) => {
  let [status, body] = [200, {}];
  try {
    if (request.method === "POST") await take(request);
    else body = { status: orders.get(request.url.split("/").pop())?.status ?? "unknown" };
  } catch (error) {
    if (error instanceof NotVerified) [status, body] = [400, { error: error.reason }];
    // Cut off by the peer, or by us in the middle: nobody to answer. Our own fault otherwise.
    else if (request.destroyed) return void response.destroy();
    else [status, body] = [500, {}];
  }
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}).listen(Number(port), "127.0.0.1");
