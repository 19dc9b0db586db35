// A receiver of tcmpay's webhooks, with Node alone (20 or newer).
//
//   WEBHOOK_SECRET=whsec_... node docs/examples/webhook_receiver.mjs serve 8080
//   TCMPAY_TOKEN=... node docs/examples/webhook_receiver.mjs rebuild http://localhost:3000
//
// The first stores what comes to http://localhost:8080/hooks in objects.ndjson (DATABASE says
// otherwise) and answers GET /objects/ID; the second reads all of it again from the feed, which is
// the truth.
import { createHmac, timingSafeEqual } from "node:crypto";
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";

const TOLERANCE_SECONDS = 300;
const BODY_BYTES_MAX = 1 << 20;
const file = process.env.DATABASE ?? "objects.ndjson";

/** The event in `body` (a Buffer, as it came), or null when it is not tcmpay's, or not from now. */
export function verified(secret, headers, body) {
  const id = headers["webhook-id"] ?? "";
  const sentAt = headers["webhook-timestamp"] ?? "";
  if (!/^\d+$/.test(sentAt) || Math.abs(Date.now() / 1000 - Number(sentAt)) > TOLERANCE_SECONDS) {
    return null;
  }
  const key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  const expected = createHmac("sha256", key).update(`${id}.${sentAt}.`).update(body).digest();
  // While the secret is being changed there are two signatures.
  const fits = (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const [version, value = ""] = signature.split(",");
    const given = Buffer.from(value, "base64");
    return version === "v1" && given.length === expected.length && timingSafeEqual(given, expected);
  });
  return fits ? JSON.parse(body.toString("utf8")) : null;
}

// The newest event of each object. The file holds one event a line; read again at the start.
const objects = new Map();

function keep(event) {
  const key = `${event.object_type} ${event.object_id}`;
  const known = objects.get(key);
  // Repetitions, and what a newer one has overtaken, change nothing.
  if (known && known.object_version >= event.object_version) return false;
  objects.set(key, event);
  return true;
}

function take(event) {
  if (keep(event)) appendFileSync(file, `${JSON.stringify(event)}\n`, { flush: true });
}

if (existsSync(file)) {
  for (const line of readFileSync(file, "utf8").split("\n")) if (line) keep(JSON.parse(line));
}

function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" });
  response.end(JSON.stringify(body));
}

function serve(port) {
  createServer((request, response) => {
    if (request.method === "GET") {
      const id = request.url.split("/").pop();
      answer(response, 200, [...objects.values()].filter((event) => event.object_id === id));
      return;
    }
    const parts = [];
    let size = 0;
    request.on("data", (part) => {
      size += part.length;
      if (size > BODY_BYTES_MAX) request.destroy();
      else parts.push(part);
    });
    request.on("end", () => {
      const event = verified(process.env.WEBHOOK_SECRET, request.headers, Buffer.concat(parts));
      if (event === null) {
        answer(response, 401, { error: "no signature fits, or too old" });
        return;
      }
      // Stored first: what was answered with 2xx does not come again.
      if (event.type !== "ping") take(event);
      answer(response, 200, { ok: true });
    });
  }).listen(port, "127.0.0.1");
}

async function rebuild(base, token) {
  let after = 0;
  for (let count = 0; ; ) {
    const answered = await fetch(`${base}/api/v1/payment/events?after=${after}&limit=500`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    if (!answered.ok) throw new Error(`HTTP ${answered.status}`);
    const { events, next_after } = (await answered.json()).data;
    if (events.length === 0) return count;
    events.forEach(take);
    count += events.length;
    after = next_after;
  }
}

const [action, where] = process.argv.slice(2);
if (action === "serve") serve(Number(where));
else if (action === "rebuild") {
  console.log(await rebuild(where.replace(/\/$/, ""), process.env.TCMPAY_TOKEN));
}
