// live(): a table's rows against a server that follows a script.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { Inbox, change, connected, end, event, hurry, refuse, start, stream } from "./server.mjs";

const snapshot = (...records) => event({ table: "posts", records }, undefined, "snapshot");
const ready = (id) => event({}, id, "ready");
const opened = event({ clientId: "c2", resumed: false }, undefined, "connected");
const update = (id, position) => event({ action: "update", table: "posts", record: { id, title: "new" } }, position);
const remove = (id, position) => event({ action: "delete", table: "posts", record: { id } }, position);

/** Show a table; return what it shows after each change: its rows, and the change's action. */
function show(realtime, options) {
  const shown = new Inbox();
  const list = realtime.live("posts", options);
  shown.end = list.subscribe((rows, cause) => shown.push([[...rows.entries()], cause?.action ?? null]));
  shown.list = list;
  return shown;
}

/** Answer with a stream that stays open, and let the test write to it later. */
function held(chunk) {
  const answer = (response) => {
    stream(chunk)(response);
    answer.response = response;
  };
  return answer;
}

test("rows are those of the snapshot and what came after it, and nothing twice", async (t) => {
  const changes = held(connected(5));
  const read = (response) => {
    changes.response.write(change(6) + remove(1, 7) + change(8));
    setTimeout(() => stream(opened, snapshot({ id: 1 }), snapshot({ id: 6 }), ready(6))(response), 50);
  };
  const { requests, realtime } = await start(t, [changes, read]);
  const shown = show(realtime);
  await shown.length(3);
  changes.response.write(update(6, 9));
  assert.deepEqual(await shown.length(4), [
    [[[1, { id: 1 }], [6, { id: 6 }]], null],
    [[[6, { id: 6 }]], "delete"],
    [[[6, { id: 6 }], [8, { id: 8 }]], "create"],
    [[[6, { id: 6, title: "new" }], [8, { id: 8 }]], "update"],
  ]);
  const addresses = requests.all.map(({ url, position }) => [url.split("?")[1], position]);
  assert.deepEqual(addresses, [["tables=posts", undefined], ["tables=posts&snapshot=true", undefined]]);
});

for (const options of [null, { key: null, filter: null, fields: null }]) {
  test(`null is the default: ${JSON.stringify(options)}`, async (t) => {
    const script = [stream(connected(5)), stream(opened, snapshot({ id: 1 }), ready(5))];
    const { realtime } = await start(t, script, { token: null, tabs: null, heartbeatSeconds: null, fetchOptions: null });
    assert.deepEqual(await show(realtime, options).length(1), [[[[1, { id: 1 }]], null]]);
  });
}

test("changes that the snapshot has already are dropped", async (t) => {
  const changes = held(connected(5));
  const { realtime } = await start(t, [changes, stream(opened, snapshot({ id: 6 }), ready(7))]);
  const shown = show(realtime);
  await shown.length(1);
  changes.response.write(change(6) + remove(6, 7) + change(8));
  assert.deepEqual((await shown.length(2))[1], [[[6, { id: 6 }], [8, { id: 8 }]], "create"]);
});

test("a snapshot that breaks off is read again from its beginning", async (t) => {
  hurry(t);
  const script = [stream(connected(5)), stream(opened, snapshot({ id: 1 }), end), refuse(503, "busy")];
  const { realtime } = await start(t, [...script, stream(opened, snapshot({ id: 2 }), ready(5))]);
  assert.deepEqual(await show(realtime).length(1), [[[[2, { id: 2 }]], null]]);
});

test("after a reset the rows are read again, and the status says so", async (t) => {
  const changes = held(connected(5));
  const script = [changes, stream(opened, snapshot({ id: 1 }), ready(5)), stream(opened, snapshot(), ready(6))];
  const { realtime } = await start(t, script);
  const statuses = new Inbox();
  const shown = show(realtime);
  shown.list.onstatus = (status) => statuses.push(status);
  await shown.length(1);
  changes.response.write(event({ reason: "table truncated", tables: ["posts"] }, 6, "reset"));
  assert.deepEqual((await shown.length(2))[1], [[], null]);
  assert.deepEqual(await statuses.length(3), ["live", "connecting", "live"]);
});

test("a later subscription gets the rows at once, and the last one ends the stream", { timeout: 60_000 }, async (t) => {
  const script = [stream(connected(5)), stream(opened, snapshot({ id: 1 }), ready(5))];
  const { requests, realtime } = await start(t, script, { heartbeatSeconds: 1000 });
  const shown = show(realtime);
  await shown.length(1);
  let rows;
  const endSecond = shown.list.subscribe((all) => (rows = all.size));
  assert.equal(rows, 1);
  endSecond();
  const closed = once(requests.all[0].response, "close");
  shown.end();
  await closed;
});

test("a key of several columns is a JSON array", async (t) => {
  const { realtime } = await start(t, [stream(connected(5)), stream(opened, snapshot({ team: 1, user: "a" }), ready(5))]);
  const [[[[key]]]] = await show(realtime, { key: ["team", "user"] }).length(1);
  assert.equal(key, '[1,"a"]');
});

test("a table that is refused is denied", async (t) => {
  const { realtime } = await start(t, [refuse(400, "unknown table: posts")]);
  const { list } = show(realtime);
  await new Promise((resolve) => (list.onstatus = resolve));
  assert.equal(list.status, "denied");
});

test("closing ends a snapshot, too", { timeout: 60_000 }, async (t) => {
  const script = [stream(connected(5)), stream(opened, snapshot({ id: 1 }))];
  const { requests, realtime } = await start(t, script, { heartbeatSeconds: 1000 });
  show(realtime);
  await requests.length(2);
  const closed = once(requests.all[1].response, "close");
  realtime.close();
  await closed;
});

test("a filter and fields are those of the changes and of the snapshot", async (t) => {
  const changes = held(connected(5));
  const { requests, realtime } = await start(t, [changes, stream(opened, snapshot({ id: 1 }), ready(5))]);
  const shown = show(realtime, { filter: "status=eq.published", fields: ["id"] });
  await shown.length(1);
  changes.response.write(remove(1, 6));
  assert.deepEqual((await shown.length(2))[1], [[], "delete"]);
  const query = "tables=posts&filter=posts.status%3Deq.published&fields=posts.id";
  assert.deepEqual(requests.all.map(({ url }) => url.split("?")[1]), [query, `${query}&snapshot=true`]);
});

test("two lists of a table with different filters each have their rows and their status", async (t) => {
  const read = (response) => {
    const isFirst = response.req.url.includes("eq.1");
    (isFirst ? stream(opened, snapshot({ id: 1 }), ready(5)) : refuse(400, "no"))(response);
  };
  const { realtime } = await start(t, [held(connected(5)), held(connected(5)), read, read]);
  const [first, second] = ["n=eq.1", "n=eq.2"].map((filter) => show(realtime, { filter }));
  const denied = new Inbox();
  second.list.onstatus = (status) => denied.push(status);
  assert.deepEqual(await first.length(1), [[[[1, { id: 1 }]], null]]);
  await denied.until((all) => all.includes("denied"));
  assert.deepEqual([first.list.status, second.all, realtime.status], ["live", [], "live"]);
});

test("a change without a position, as while another table's reset is due, counts", async (t) => {
  const changes = held(connected(5));
  const { realtime } = await start(t, [changes, stream(opened, snapshot({ id: 6 }), ready(7))]);
  const shown = show(realtime);
  await shown.length(1);
  changes.response.write(event({ action: "create", table: "posts", record: { id: 8 } }));
  assert.deepEqual((await shown.length(2))[1], [[[6, { id: 6 }], [8, { id: 8 }]], "create"]);
});

test("a snapshot that was refused is read when the page reconnects", async (t) => {
  const script = [stream(connected(5)), refuse(401, "no"), stream(connected(5, true)), stream(opened, snapshot({ id: 1 }), ready(5))];
  const { realtime } = await start(t, script);
  const shown = show(realtime);
  await new Promise((resolve) => (shown.list.onstatus = (status) => status === "denied" && resolve()));
  realtime.reconnect();
  assert.deepEqual(await shown.length(1), [[[[1, { id: 1 }]], null]]);
  assert.equal(shown.list.status, "live");
});

test("keys that a number does not hold are strings, and stay apart", async (t) => {
  const [first, second] = ["9007199254740993", "9007199254740992"];
  const text = `"12345678901234567 \\" 12345678901234567${"\\n".repeat(4_000_000)}"`;
  const records = `[{"id":${first},"n":1234567890123456789.5,"t":${text}},{"id":-${second},"n":9007199254740991}]`;
  const snapshot = `event: snapshot\ndata: {"table":"posts","records":${records}}\n\n`;
  const changes = held(connected(5));
  const { realtime } = await start(t, [changes, stream(opened, snapshot, ready(5))]);
  const shown = show(realtime);
  const rows = [
    [first, { id: first, n: 1234567890123456789.5, t: JSON.parse(text) }],
    [`-${second}`, { id: `-${second}`, n: 9007199254740991 }],
  ];
  assert.deepEqual(await shown.length(1), [[rows, null]]);
  const event = (position, action, id) => `id: ${position}\ndata: {"action":"${action}","table":"posts","record":{"id":${id}}}\n\n`;
  changes.response.write(event(6, "create", second) + event(7, "delete", first));
  assert.deepEqual((await shown.length(3))[2], [[rows[1], [second, { id: second }]], "delete"]);
});

test("a list whose key its rows do not have is denied, and an error of the page", async (t) => {
  const { queueMicrotask: real } = globalThis;
  const thrown = new Inbox();
  t.mock.method(globalThis, "queueMicrotask", (callback) => real(() => {
    try {
      callback();
    } catch (error) {
      thrown.push(error.message);
    }
  }));
  const { realtime } = await start(t, [stream(connected(5)), stream(opened, snapshot({ team: 1 }, { team: 2 }), ready(5))]);
  const { list, all } = show(realtime);
  const [message] = await thrown.length(1);
  assert.match(message, /live\("posts"\): a row has no column "id"/);
  assert.deepEqual([list.status, all], ["denied", []]);
});

test("tables of the same name in two schemas each have their own changes", async (t) => {
  const streams = { "a.orders": held(connected(5)), "b.orders": held(connected(5)) };
  const answer = (response) => {
    const query = new URL(response.req.url, "http://x").searchParams;
    const table = query.get("tables");
    if (!query.has("snapshot")) return streams[table](response);
    const records = event({ table: "orders", records: [{ id: table }] }, undefined, "snapshot");
    stream(opened, records, ready(5))(response);
  };
  const { realtime } = await start(t, Array(4).fill(answer));
  const [first, second] = Object.keys(streams).map((table) => {
    const shown = new Inbox();
    realtime.live(table).subscribe((rows) => shown.push([...rows.keys()]));
    return shown;
  });
  await Promise.all([first.length(1), second.length(1)]);
  streams["a.orders"].response.write(change(6, "orders"));
  assert.deepEqual(await first.length(2), [["a.orders"], ["a.orders", 6]]);
  streams["b.orders"].response.write(change(7, "orders"));
  assert.deepEqual(await second.length(2), [["b.orders"], ["b.orders", 7]]);
});
