// The client's stream against a server that follows a script.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { Inbox, change, connected, end, event, hurry, refuse, start, stream, subscribe } from "./server.mjs";

const subscribed = (...tables) => ({ action: "reset", reason: "subscribed", tables });

test("the token goes in a header, and a position once there is one", async (t) => {
  hurry(t);
  const script = [stream(connected(5, false), change(6), end), stream(connected(6, true), change(7))];
  const { requests, realtime } = await start(t, script, { token: async () => "abc" });
  assert.deepEqual(await subscribe(realtime, "posts", "a,b").length(3), [subscribed("posts", "a,b"), 6, 7]);
  const seen = requests.all.map(({ url, token, position }) => ({ url, token, position }));
  const url = "/api/realtime?tables=posts%2Ca%2Cb";
  assert.deepEqual(seen, [{ url, token: "Bearer abc", position: undefined }, { url, token: "Bearer abc", position: "6" }]);
});

test("a heartbeat's position counts", async (t) => {
  hurry(t);
  const { requests, realtime } = await start(t, [stream(connected(5), ": heartbeat\nid: 9\n\n", end)]);
  subscribe(realtime, "posts");
  assert.equal((await requests.length(2))[1].position, "9");
});

test("subscriptions share a stream; each gets its tables", async (t) => {
  const { requests, realtime } = await start(t, [stream(connected(1), change(2, "posts"), change(3, "notes"))]);
  const [posts, notes] = [subscribe(realtime, "posts"), subscribe(realtime, "blog.notes")];
  assert.deepEqual(await posts.length(2), [subscribed("posts"), 2]);
  assert.deepEqual(await notes.length(2), [subscribed("blog.notes"), 3]);
  assert.equal(requests.all.length, 1);
});

test("another table opens another stream, at the position of the last; fewer tables do not", async (t) => {
  const script = [stream(connected(1), change(2)), stream(connected(2, true), change(3), change(4, "notes"))];
  const { requests, realtime } = await start(t, script);
  const posts = subscribe(realtime, "posts");
  await posts.length(2);
  const notes = subscribe(realtime, "notes");
  assert.deepEqual(await notes.length(2), [subscribed("notes"), 4]);
  assert.deepEqual(posts.all, [subscribed("posts"), 2, 3]);
  posts.end();
  const again = subscribe(realtime, "notes");
  assert.deepEqual(await again.length(1), [subscribed("notes")]);
  assert.deepEqual(requests.all.map(({ url, position }) => [url.split("=")[1], position]), [["posts", undefined], ["posts%2Cnotes", "2"]]);
});

test("a stream without subscriptions is closed, and its position forgotten", { timeout: 60_000 }, async (t) => {
  const script = [stream(connected(1)), stream(connected(9, false))];
  const { requests, realtime } = await start(t, script, { heartbeatSeconds: 1000 });
  const posts = subscribe(realtime, "posts");
  await posts.length(1);
  const closed = once(requests.all[0].response, "close");
  posts.end();
  await closed;
  assert.deepEqual(await subscribe(realtime, "posts").length(1), [subscribed("posts")]);
  assert.equal(requests.all[1].position, undefined);
});

test("a token that is refused is asked for once more, then the stream is denied", async (t) => {
  const no = refuse(401, "invalid or expired token");
  const tokens = ["old", "new", "worse", "worst"];
  const script = [no, stream(connected(1)), no, no, stream(connected(2))];
  const { requests, realtime, statuses } = await start(t, script, { token: () => tokens.shift() });
  await subscribe(realtime, "posts").length(1);
  realtime.reconnect();
  assert.deepEqual(await statuses.length(3), ["live", "connecting", "denied: invalid or expired token"]);
  assert.deepEqual(requests.all.map(({ token }) => token), ["Bearer old", "Bearer new", "Bearer worse", "Bearer worst"]);
  realtime.reconnect();
  assert.deepEqual((await statuses.length(5)).slice(3), ["connecting", "live"]);
});

test("without a token the session's 401 is final", async (t) => {
  const { requests, realtime, statuses } = await start(t, [refuse(401, "authentication required")]);
  subscribe(realtime, "posts");
  assert.deepEqual(await statuses.length(1), ["denied: authentication required"]);
  assert.equal(requests.all[0].token, undefined);
});

for (const [code, message] of [[400, "unknown table: posts"], [403, "cross-site request"]]) {
  test(`${code} is denied with the server's message`, async (t) => {
    const { realtime, statuses } = await start(t, [refuse(code, message)]);
    subscribe(realtime, "posts");
    assert.deepEqual(await statuses.length(1), [`denied: ${message}`]);
    assert.equal(realtime.status, "denied");
  });
}

test("a table that is refused harms only who asked for it", async (t) => {
  const script = [stream(connected(1)), refuse(400, "unknown table: typo"), stream(connected(1, true), change(2))];
  const { realtime, statuses } = await start(t, script);
  const posts = subscribe(realtime, "posts");
  await posts.length(1);
  const typo = subscribe(realtime, "typo");
  assert.deepEqual(await typo.length(1), [{ action: "denied", reason: "unknown table: typo", tables: ["typo"] }]);
  assert.deepEqual(await posts.length(2), [subscribed("posts"), 2]);
  assert.deepEqual(statuses.all, ["live"]);
});

test("errors of the server and of the way to it are tried again, later each time", async (t) => {
  const waits = hurry(t);
  const script = [
    stream("retry: 100\n\n", connected(1), end),
    (response) => response.destroy(),
    refuse(502, "bad gateway"),
    (response) => response.end("<h1>Log in to this network</h1>"),
    stream("retry: 300\n", end),
    stream(connected(1, true), change(2)),
  ];
  const { realtime, statuses } = await start(t, script);
  assert.deepEqual(await subscribe(realtime, "posts").length(2), [subscribed("posts"), 2]);
  const [live, connecting, failed, ...rest] = statuses.all;
  assert.deepEqual([live, connecting, failed.slice(0, 8)], ["live", "connecting", "offline:"]);
  const told = ["bad gateway", "the answer is not an event stream", "the stream ended before it began"];
  assert.deepEqual(rest, [...told.map((message) => `offline: ${message}`), "live"]);
  for (const wait of [100, 200, 400, 800, 300 * 2 ** 4]) assert(waits.includes(wait), `${wait} in ${waits}`);
});

test("the wait ends at half a minute", async (t) => {
  const waits = hurry(t);
  const { realtime } = await start(t, [...Array(6).fill(refuse(500, "no")), stream(connected(1))]);
  await subscribe(realtime, "posts").length(1);
  assert(waits.includes(16_000) && waits.includes(30_000) && !waits.includes(32_000), String(waits));
});

for (const code of [429, 503]) {
  test(`${code} waits as long as Retry-After says`, async (t) => {
    const waits = hurry(t);
    const date = new Date(Date.now() + 60_000).toUTCString();
    const script = [refuse(code, "busy", { "Retry-After": "7" }), refuse(code, "busy", { "Retry-After": date })];
    const { realtime, statuses } = await start(t, [...script, stream(connected(1))]);
    await subscribe(realtime, "posts").length(1);
    assert.deepEqual(statuses.all, ["offline: busy", "live"]);
    assert(waits.includes(7000), String(waits));
    assert(waits.some((wait) => wait > 40_000 && wait <= 60_000), String(waits));
  });
}

test("a server that says nothing for two and a half heartbeats is left", async (t) => {
  hurry(t);
  const options = { heartbeatSeconds: 0.4 };
  const { requests, realtime, statuses } = await start(t, [stream(connected(1)), () => {}, stream(connected(1, true), change(2))], options);
  assert.deepEqual(await subscribe(realtime, "posts").length(2), [subscribed("posts"), 2]);
  assert.deepEqual(statuses.all, ["live", "offline: the server is silent", "live"]);
  assert.equal(requests.all.length, 3);
});

test("a reset is told to whom its tables belong", async (t) => {
  const reset = event({ reason: "table truncated", tables: ["posts", "tags"] }, 7, "reset");
  const { realtime } = await start(t, [stream(connected(1), reset, change(8), change(9, "notes"))]);
  const [posts, notes] = [subscribe(realtime, "posts"), subscribe(realtime, "notes")];
  assert.deepEqual((await posts.length(3)).slice(1), [{ action: "reset", reason: "table truncated", tables: ["posts"] }, 8]);
  assert.deepEqual((await notes.length(2)).slice(1), [9]);
});

test("a position that got lost on the way is a reset", async (t) => {
  hurry(t);
  const { realtime } = await start(t, [stream(connected(1, false), end), stream(connected(5, false), change(6))]);
  const lost = { action: "reset", reason: "position lost", tables: ["posts"] };
  assert.deepEqual(await subscribe(realtime, "posts").length(3), [subscribed("posts"), lost, 6]);
});

test("after expired it comes back with another token, at once where the last one has lived", async (t) => {
  const waits = hurry(t);
  const tokens = ["one", "two", "three"];
  const expired = event({}, undefined, "expired");
  const streams = [];
  const lived = (response) => {
    stream("retry: 60000\n", connected(1))(response);
    streams.push(response);
  };
  const script = [lived, stream(connected(1, true), expired, end), stream(connected(1, true), change(2))];
  const { requests, realtime } = await start(t, script, { token: () => tokens.shift() });
  const events = subscribe(realtime, "posts");
  await events.length(1);
  const { now } = Date;
  t.mock.method(Date, "now", () => now() + 3_600_000);
  streams[0].end(expired);
  await events.length(2);
  assert.deepEqual(requests.all.map(({ token }) => token), ["Bearer one", "Bearer two", "Bearer three"]);
  assert.equal(waits.filter((wait) => wait === 60_000).length, 1);
});

test("a subscription that comes while the client waits does not ask sooner", async (t) => {
  const waits = hurry(t);
  const script = [refuse(503, "busy", { "Retry-After": "7" }), stream(connected(1))];
  const { requests, realtime, statuses } = await start(t, script);
  subscribe(realtime, "posts");
  await statuses.length(1);
  await subscribe(realtime, "notes").length(1);
  assert(!waits.slice(waits.indexOf(7000)).includes(0), String(waits));
  assert.deepEqual(requests.all.map(({ url }) => url.split("=")[1]), ["posts", "posts%2Cnotes"]);
});

test("nothing comes before subscribed", async (t) => {
  const { realtime } = await start(t, [stream(connected(1), change(2) + change(3)), stream(connected(3, true), change(4))]);
  const late = new Promise((resolve) => {
    realtime.subscribe("posts", ({ record }) => record?.id === 2 && resolve(subscribe(realtime, "posts", "notes")));
  });
  assert.deepEqual(await (await late).length(2), [subscribed("posts", "notes"), 4]);
});

/** Return an unsigned JWT that expires in so many seconds. */
function jwt(seconds) {
  const payload = Buffer.from(JSON.stringify({ exp: Date.now() / 1000 + seconds, name: "ÿ?>" })).toString("base64url");
  return `e30.${payload}.x`;
}

test("a token is renewed before it expires, in the open stream", async (t) => {
  hurry(t);
  const tokens = [jwt(10), jwt(20), jwt(1000)];
  const given = [...tokens];
  const renewed = (response) => response.writeHead(204).end();
  const script = [stream(connected(1)), renewed, renewed];
  const { requests, realtime, statuses } = await start(t, script, { token: () => given.shift() });
  subscribe(realtime, "posts");
  const seen = (await requests.length(3)).map(({ method, url, token }) => [method, url, token]);
  const [opening, ...renewals] = tokens.map((token) => `Bearer ${token}`);
  assert.deepEqual(seen, [
    ["GET", "/api/realtime?tables=posts", opening],
    ...renewals.map((token) => ["POST", "/api/realtime/c1/token", token]),
  ]);
  assert.deepEqual(statuses.all, ["live"]);
});

for (const [life, renewal] of [[100, 80], [3600, 3570], [1e9, (2 ** 31 - 1) / 1000]]) {
  test(`a token that lives ${life} seconds is renewed after ${renewal}`, async (t) => {
    const waits = hurry(t);
    const { realtime } = await start(t, [stream(connected(1))], { token: () => jwt(life) });
    await subscribe(realtime, "posts").length(1);
    assert(waits.some((wait) => wait > (renewal - 5) * 1000 && wait <= renewal * 1000), String(waits));
  });
}

for (const code of [403, 404, 405]) {
  test(`a server that answers ${code} to another token gets another request with it`, async (t) => {
    hurry(t);
    const tokens = [jwt(10), "two"];
    const script = [stream(connected(1)), refuse(code, "no"), stream(connected(1, true), change(2))];
    const { requests, realtime, statuses } = await start(t, script, { token: () => tokens.shift() ?? "three" });
    assert.deepEqual(await subscribe(realtime, "posts").length(2), [subscribed("posts"), 2]);
    assert.equal(requests.all[2].position, "1");
    assert.deepEqual(statuses.all, ["live"]);
  });
}

test("what a callback throws harms no other, and is an error of the page", async (t) => {
  const { queueMicrotask: real } = globalThis;
  const thrown = [];
  const caught = (callback) => {
    try {
      callback();
    } catch (error) {
      thrown.push(error.message);
    }
  };
  t.mock.method(globalThis, "queueMicrotask", (callback) => real(() => caught(callback)));
  const { realtime } = await start(t, [stream(connected(1), change(2))]);
  realtime.subscribe("posts", ({ action }) => {
    throw new Error(action);
  });
  assert.deepEqual(await subscribe(realtime, "posts").length(2), [subscribed("posts"), 2]);
  assert.deepEqual(thrown, ["reset", "create"]);
});

const views = ({ requests }) => requests.all.map(({ url }) => [...new URL(url, "http://x").searchParams].flat());

test("filters and fields of several tables go in one stream, each with its table's name", async (t) => {
  const server = await start(t, [stream(connected(1), change(2), change(3, "notes"), change(4, "visits"))]);
  const { realtime } = server;
  const lists = [new Inbox(), new Inbox(), new Inbox()];
  const see = (list) => (event) => list.push(event.record?.id ?? event.action);
  realtime.subscribe("posts", see(lists[0]), { filter: "status=eq.a\\,b, author=in.1|2", fields: "id, title" });
  realtime.subscribe(["notes", "blog.visits"], see(lists[1]), { filter: ["n=gt.1", "notes.m=is.null"], fields: ["blog.visits.at"] });
  realtime.subscribe("posts", see(lists[2]), { filter: "status=eq.a\\,b, author=in.1|2", fields: ["id", "title"] });
  assert.deepEqual(await lists[1].length(3), ["reset", 3, 4]);
  assert.deepEqual([lists[0].all, lists[2].all], [["reset", 2], ["reset", 2]]);
  assert.deepEqual(views(server), [[
    ...["tables", "posts,notes,blog.visits"],
    ...["filter", "posts.status=eq.a\\,b,posts.author=in.1|2,notes.n=gt.1,notes.m=is.null,blog.visits.n=gt.1"],
    ...["fields", "posts.id,posts.title,blog.visits.at"],
  ]]);
});

test("a table in another view has a stream of its own", async (t) => {
  const server = await start(t, [stream(connected(1), change(2)), stream(connected(5), change(6))]);
  const { realtime, requests, statuses } = server;
  const all = subscribe(realtime, "posts");
  const some = new Inbox();
  const endSome = realtime.subscribe("posts", (event) => some.push(event.record?.id ?? event), { filter: "n=eq.1" });
  assert.deepEqual(await all.length(2), [subscribed("posts"), 2]);
  assert.deepEqual(await some.length(2), [subscribed("posts"), 6]);
  assert.deepEqual(views(server), [["tables", "posts"], ["tables", "posts", "filter", "posts.n=eq.1"]]);
  const closed = once(requests.all[1].response, "close");
  endSome();
  await closed;
  assert.deepEqual(statuses.all, ["live"]);
  const notes = new Inbox();
  realtime.subscribe("notes", (event) => notes.push(event), { filter: "n=eq.1" });
  await requests.length(3);
  assert.deepEqual(views(server)[2], ["tables", "posts,notes", "filter", "notes.n=eq.1"]);
});

for (const message of ["fields: unknown column: posts.typo", "filter: unknown column: posts.typo"]) {
  test(`${message} harms only who asked for it`, async (t) => {
    const server = await start(t, [refuse(400, message), stream(connected(1), change(2, "notes"))]);
    const { realtime, statuses } = server;
    const denied = new Inbox();
    realtime.subscribe("posts", (event) => denied.push(event), { fields: "typo" });
    const notes = subscribe(realtime, "notes");
    assert.deepEqual(await notes.length(2), [subscribed("notes"), 2]);
    assert.deepEqual(denied.all, [{ action: "denied", reason: message, tables: ["posts"] }]);
    assert.deepEqual(statuses.all, ["live"]);
  });
}

test("a stream that came by a cookie goes on after the session's first end, and is denied after its last", async (t) => {
  hurry(t);
  const expired = event({}, undefined, "expired");
  const script = [stream(connected(1), change(2), expired, end), stream(connected(2, true), change(3), expired, end)];
  const { requests, realtime, statuses } = await start(t, [...script, refuse(401, "authentication required")]);
  assert.deepEqual(await subscribe(realtime, "posts").length(3), [subscribed("posts"), 2, 3]);
  await statuses.until((all) => all.at(-1) === "denied: authentication required");
  assert.deepEqual(requests.all.map(({ token, position }) => [token, position]), [[undefined, undefined], [undefined, "2"], [undefined, "3"]]);
});

for (const [thrown, message] of [[undefined, "undefined"], ["a text", "a text"], [Object.assign(new Error("not now"), { status: 403 }), "not now"]]) {
  test(`a token() that throws ${message} is asked again`, async (t) => {
    hurry(t);
    let asked = 0;
    const token = async () => {
      if (!asked++) throw thrown;
      return "abc";
    };
    const { realtime, statuses } = await start(t, [stream(connected(1), change(2))], { token });
    assert.deepEqual(await subscribe(realtime, "posts").length(2), [subscribed("posts"), 2]);
    assert.deepEqual(statuses.all, [`offline: ${message}`, "live"]);
  });
}

test("a clock that is set back hides no silence", async (t) => {
  hurry(t);
  const { now } = Date;
  let step = 0;
  t.mock.method(Date, "now", () => now() - step);
  const { realtime, statuses } = await start(t, [stream(connected(1)), stream(connected(1, true), change(2))], { heartbeatSeconds: 0.4 });
  const events = subscribe(realtime, "posts");
  await events.length(1);
  step = 3_600_000;
  assert.deepEqual(await events.length(2), [subscribed("posts"), 2]);
  assert.deepEqual(statuses.all, ["live", "offline: the server is silent", "live"]);
});
