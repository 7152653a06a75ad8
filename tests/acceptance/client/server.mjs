// A server that answers its requests by a script, one answer for each, and what the tests of the client wait with.
import { createServer } from "node:http";

const { Realtime } = await import(process.env.CLIENT);

/** Values that come one after another; until() waits for the first list of them that fits. */
export class Inbox {
  constructor() {
    this.all = [];
    this.waiting = new Set();
  }

  push(value) {
    this.all.push(value);
    this.waiting.forEach((look) => look());
  }

  until(fits) {
    return new Promise((resolve) => {
      const look = () => fits(this.all) && (this.waiting.delete(look), resolve(this.all));
      this.waiting.add(look);
      look();
    });
  }

  length(count) {
    return this.until((all) => all.length >= count);
  }
}

/** Answer with a stream of these chunks, which stays open; an `end` among them ends it. */
export const stream = (...chunks) => (response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  for (const chunk of chunks) chunk === end ? response.end() : response.write(chunk);
};
export const end = Symbol("end");

/** Answer with an error, as the server does. */
export const refuse = (code, message, headers = {}) => (response) => {
  response.writeHead(code, { "Content-Type": "application/json", ...headers });
  response.end(JSON.stringify({ code, message }));
};

export const connected = (id, resumed) => event({ clientId: "c1", resumed }, id, "connected");
export const change = (id, table = "posts") => event({ action: "create", table, record: { id } }, id);
export function event(data, id, type) {
  const fields = { id, event: type, data: JSON.stringify(data) };
  return Object.entries(fields).map(([name, value]) => (value === undefined ? "" : `${name}: ${value}\n`)).join("") + "\n";
}

/** Start a server with a script, and a client. After the script's end requests are never answered. */
export async function start(t, script, options = {}) {
  const requests = new Inbox();
  const server = createServer((request, response) => {
    const { method, url, headers } = request;
    requests.push({ method, url, token: headers.authorization, position: headers["last-event-id"], response });
    script.shift()?.(response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const realtime = new Realtime({ url: `http://127.0.0.1:${server.address().port}/api/realtime`, ...options });
  const statuses = new Inbox();
  realtime.onstatus = (status, message) => statuses.push(message ? `${status}: ${message}` : status);
  t.after(() => {
    realtime.close();
    server.closeAllConnections();
    server.close();
  });
  return { requests, realtime, statuses };
}

/** Subscribe; return what comes: the ids of records, and the events that are no changes. */
export function subscribe(realtime, ...tables) {
  const events = new Inbox();
  events.end = realtime.subscribe(tables, (event) => events.push(event.record?.id ?? event));
  return events;
}

/** Let time go fifty times as fast, and chance be 0; return the waits that were asked for. */
export function hurry(t) {
  const waits = [];
  const { setTimeout: real } = globalThis;
  t.mock.method(Math, "random", () => 0);
  t.mock.method(globalThis, "setTimeout", (callback, wait, ...rest) => {
    waits.push(wait);
    return real(callback, wait / 50, ...rest);
  });
  return waits;
}
