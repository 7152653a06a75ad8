// The hook that docs/howto/frontends.md prints, in a component, against a server that follows a script.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { createElement } from "react";
import { create } from "react-test-renderer";

import { useLive } from "./in-react.mjs";
import { Inbox, connected, event, start, stream } from "./server.mjs";

const snapshot = (...records) => event({ table: "posts", records }, undefined, "snapshot");
const opened = event({ clientId: "c2" }, undefined, "connected");

test("a component shows the rows and the status, of another filter when it gets one, and leaves with its page", async (t) => {
  const changes = (response) => (response.req.url.includes("eq.1") && (changes.response = response), stream(connected(5))(response));
  const read = (response) => {
    const id = response.req.url.includes("eq.1") ? 1 : 2;
    stream(opened, snapshot({ id }), event({}, 5, "ready"))(response);
  };
  const { requests, realtime } = await start(t, [changes, read, changes, read]);
  const states = new Inbox();
  const List = ({ filter }) => states.push(useLive(realtime, "posts", { filter })) ?? null;
  const shows = (...ids) => states.until((all) => {
    const { rows, status } = all.at(-1) ?? {};
    return status === "live" && rows.map(({ id }) => id).join() === ids.join();
  });
  const page = create(createElement(List, { filter: "n=eq.1" }));
  await shows(1);
  changes.response.write(event({ action: "create", table: "posts", record: { id: 3 } }, 6));
  await shows(1, 3);
  const before = states.all.length;
  page.update(createElement(List, { filter: "n=eq.2" }));
  await shows(2);
  assert(states.all.slice(before + 1).every(({ rows }) => rows.every(({ id }) => id === 2)), "no rows of the filter before");
  const closed = once(requests.all[2].response, "close");
  page.unmount();
  await closed;
});
