// Sign in with the published SDK, subscribe, and print what comes as JSON lines: "connected", then each event.
// node sdk_client.mjs BASE_URL EMAIL PASSWORD TABLE...
import { AYBClient } from "@allyourbase/js";
import { EventSource } from "eventsource";

// The SDK does not tell when its stream is open, and looks EventSource up as a global: here is one that tells.
globalThis.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    this.addEventListener("connected", () => print("connected"));
  }
};

const print = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const [base, email, password, ...tables] = process.argv.slice(2);

const ayb = new AYBClient(base);
await ayb.auth.login(email, password);
ayb.realtime.subscribe(tables, print);
