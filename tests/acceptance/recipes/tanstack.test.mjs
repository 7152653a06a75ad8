// The collection that docs/howto/frontends.md prints, against a server that follows a script.
import assert from "node:assert/strict";
import { test } from "node:test";

import { connected, event, start, stream } from "./server.mjs";

const change = (action, record, id) => event({ action, table: "posts", record }, id);
const snapshot = (...records) => event({ table: "posts", records }, undefined, "snapshot");
const opened = event({ clientId: "c2" }, undefined, "connected");

test("a collection shows writes at once, and ends with what the server has", async (t) => {
  const { setTimeout: real } = globalThis;
  t.mock.method(globalThis, "setTimeout", (...all) => real(...all).unref()); // or the process waits for them
  const live = (response) => (live.response = response, stream(connected(5))(response));
  const again = stream(opened, snapshot({ id: 9, title: "other" }), event({}, 20, "ready"));
  const first = stream(opened, snapshot({ id: 1, title: "old" }, { id: 2, title: "b" }), event({}, 5, "ready"));
  const { realtime } = await start(t, [live, first, again]);
  const answers = {};
  globalThis.realtime = realtime;
  globalThis.save = (id, changes) => new Promise((resolve, reject) => Object.assign(answers, { id, changes, resolve, reject }));
  const { posts } = await import("./with-tanstack-db.mjs");
  await posts.preload();
  const titles = () => posts.toArray.map(({ id, title }) => `${id} ${title}`).sort();
  const seen = [];
  let look;
  posts.subscribeChanges(() => (seen.push(titles().join()), look?.()), { includeInitialState: true });
  const shows = (expected) => new Promise((resolve) => (look = () => titles().join() === expected && resolve())());
  assert.deepEqual(titles(), ["1 old", "2 b"]);
  seen.length = 0;

  const accepted = posts.update(1, (draft) => void (draft.title = "new"));
  assert.deepEqual(titles(), ["1 new", "2 b"]);
  assert.deepEqual([answers.id, answers.changes], [1, { title: "new" }]);
  answers.resolve();
  await new Promise(setImmediate);
  live.response.write(change("update", { id: 1, title: "new, says the server" }, 6));
  await accepted.isPersisted.promise;
  await shows("1 new, says the server,2 b");
  assert(!seen.includes("1 old,2 b"), "the old title was never shown again");

  const refused = posts.update(1, (draft) => void (draft.title = "no"));
  assert.deepEqual(titles(), ["1 no", "2 b"]);
  answers.reject(new Error("refused"));
  await assert.rejects(refused.isPersisted.promise, /refused/);
  assert.deepEqual(titles(), ["1 new, says the server", "2 b"]);

  live.response.write(change("create", { id: 3, title: "c" }, 7) + change("delete", { id: 2 }, 8));
  await shows("1 new, says the server,3 c");
  live.response.write(event({ reason: "table truncated", tables: ["posts"] }, 9, "reset"));
  await shows("9 other");
});
