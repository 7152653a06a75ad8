// The composable that docs/howto/frontends.md prints, in an effect scope, against a server that follows a script.
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { effectScope, watchEffect } from "vue";

import { useLive } from "./in-vue.mjs";
import { Inbox, connected, event, start, stream } from "./server.mjs";

const snapshot = (...records) => event({ table: "posts", records }, undefined, "snapshot");
const opened = event({ clientId: "c2" }, undefined, "connected");

test("a component shows the rows and the status, and leaves with its scope", async (t) => {
  const changes = (response) => (changes.response = response, stream(connected(5))(response));
  const read = stream(opened, snapshot({ id: 1 }), event({}, 5, "ready"));
  const { requests, realtime } = await start(t, [changes, read]);
  const states = new Inbox();
  const scope = effectScope();
  scope.run(() => {
    const { rows, status } = useLive(realtime, "posts", { filter: "n=eq.1" });
    watchEffect(() => states.push(`${status.value} ${rows.value.map(({ id }) => id)}`), { flush: "sync" });
  });
  await states.until((all) => all.at(-1) === "live 1");
  changes.response.write(event({ action: "create", table: "posts", record: { id: 3 } }, 6));
  await states.until((all) => all.at(-1) === "live 1,3");
  assert.equal(states.all[0], "connecting ");
  const closed = once(requests.all[0].response, "close");
  scope.stop();
  await closed;
});
