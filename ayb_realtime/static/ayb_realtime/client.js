// The client of ayb_realtime: see docs/client.md. One module without dependencies, for browsers and Node.

/**
 * Reads the events of a stream. Source: WHATWG HTML, "Interpreting an event stream".
 *
 * lastEventId: the id that the stream continues after; it is that of each event until another id comes.
 */
export class EventParser {
  constructor(lastEventId = "") {
    this.lastEventId = lastEventId;
    this.retry = null; // in milliseconds
    this.decoder = new TextDecoder();
    this.line = "";
    this.endedInCR = false;
    this.id = lastEventId;
    this.type = "";
    this.data = [];
  }

  /** Read the next bytes, which may end anywhere. Return the events that they complete: {type, data, lastEventId}. */
  push(bytes) {
    let text = this.decoder.decode(bytes, { stream: true });
    if (!text) return [];
    if (this.endedInCR && text[0] === "\n") text = text.slice(1);
    this.endedInCR = text.endsWith("\r");
    const lines = text.split(/\r\n|\r|\n/);
    lines[0] = this.line + lines[0];
    this.line = lines.pop();
    return lines.map((line) => this.read(line)).filter(Boolean);
  }

  read(line) {
    if (line === "") return this.dispatch();
    const [, field, value] = /^([^:]*)(?:: ?)?([^]*)$/.exec(line);
    if (field === "data") this.data.push(value);
    if (field === "event") this.type = value;
    if (field === "id" && !value.includes("\0")) this.id = value;
    if (field === "retry" && /^[0-9]+$/.test(value)) this.retry = Number(value);
  }

  dispatch() {
    const { type, data } = this;
    this.lastEventId = this.id;
    this.type = "";
    this.data = [];
    if (data.length) return { type: type || "message", data: data.join("\n"), lastEventId: this.id };
  }
}

const BACKOFF_MAX_MILLISECONDS = 30_000;
const TIMER_MAX_MILLISECONDS = 2 ** 31 - 1;
const WATCH_MILLISECONDS = 5_000;

/** An answer that is no stream. status: 0 where no server answered. retryAfter: in milliseconds. */
class Refusal extends Error {
  constructor(message, status = 0, retryAfter = 0) {
    super(message);
    Object.assign(this, { status, retryAfter });
  }

  static async of(response) {
    const text = await response.text();
    return new Refusal(messageIn(text) ?? `${response.status} ${response.statusText}`, response.status, retryAfter(response));
  }
}

/**
 * The stream of some tables, which comes back by itself after whatever ended it, at the position where it was.
 *
 * owner: told by event(event, position) of each event; by passed(position) that there is nothing more up to there; by
 * opened(tables, lost, position) which tables the open stream has, and whether changes before it are lost; by
 * changed(status, message) of the status; by refused(table, message) of a table that it goes on without.
 */
class Stream {
  constructor(options, owner) {
    Object.assign(this, { options, owner });
    this.tables = [];
    this.retry = 2000; // in milliseconds, until the server says otherwise
    this.forget();
  }

  forget() {
    this.stop();
    this.position = "";
    this.accepted = []; // the tables of the stream that opened last
    this.failures = 0;
  }

  /** Have these tables in the stream. More than it has open another; fewer count from the next time on. */
  want(tables) {
    this.tables = tables;
    if (!tables.length) this.forget();
    else if (this.isDue) return;
    else if (!tables.every((table) => this.asked.includes(table))) this.start();
    else if (this.isOpen) this.owner.opened(this.accepted, false, this.position);
  }

  /** Open the stream after this many milliseconds. One that is open ends. */
  start(wait = 0) {
    this.stop();
    this.isDue = true;
    this.waiting = setTimeout(() => this.attempt(), Math.min(wait, TIMER_MAX_MILLISECONDS));
    this.watching = setInterval(() => this.watch(), Math.min(WATCH_MILLISECONDS, this.options.silence));
  }

  stop() {
    this.request?.abort();
    this.isDue = this.isOpen = this.hasExpired = false;
    this.asked = [];
    this.heardAt = 0;
    clearTimeout(this.waiting);
    clearTimeout(this.refreshing);
    clearInterval(this.watching);
  }

  /** Fail if nothing came for too long: the connection is dead, or the computer has slept. */
  watch() {
    if (this.heardAt && Date.now() - this.heardAt > this.options.silence) this.fail(new Refusal("the server is silent"));
  }

  async attempt() {
    const { signal } = (this.request = new AbortController());
    this.heardAt = Date.now();
    try {
      await this.read(await this.open(signal), signal);
      if (!signal.aborted) this.ended();
    } catch (error) {
      if (!signal.aborted) this.fail(error);
    }
  }

  /** Ask for the stream. If the token is refused, ask for another, once. Throws a Refusal. */
  async open(signal) {
    let response = await this.send(signal);
    if (response.status === 401 && this.options.token) response = await this.send(signal);
    if (response.status !== 200) throw await Refusal.of(response);
    if (!isEventStream(response)) throw new Refusal("the answer is not an event stream");
    return response.body;
  }

  async send(signal) {
    this.token = await this.options.token?.();
    signal.throwIfAborted();
    this.isDue = false;
    this.asked = this.tables;
    const headers = credentials(this.token);
    if (this.position) headers["Last-Event-ID"] = this.position;
    const query = new URLSearchParams({ tables: this.asked.join(","), ...this.options.query });
    return fetch(`${this.options.url}?${query}`, { ...this.options.fetchOptions, headers, signal, cache: "no-store" });
  }

  async read(body, signal) {
    const parser = new EventParser(this.position);
    const reader = body.getReader();
    for (let part; !(part = await reader.read()).done; ) {
      this.heardAt = Date.now();
      for (const event of parser.push(part.value)) if (!signal.aborted) this.take(event);
      if (signal.aborted) return;
      this.owner.passed(parser.lastEventId);
      this.position = parser.lastEventId;
      this.retry = parser.retry ?? this.retry;
    }
  }

  take({ type, data, lastEventId }) {
    if (type === "connected") this.connected(JSON.parse(data), lastEventId);
    if (type === "expired") this.hasExpired = true;
    if (type === "reset") this.owner.event({ action: "reset", ...JSON.parse(data) }, lastEventId);
    if (type === "message") this.owner.event(JSON.parse(data), lastEventId);
    if (type === "snapshot") this.owner.snapshot(JSON.parse(data));
    if (type === "ready") this.owner.ready(lastEventId);
    this.position = lastEventId;
  }

  connected({ clientId, resumed }, position) {
    this.clientId = clientId;
    this.accepted = this.asked;
    this.openedAt = Date.now();
    this.isOpen = true;
    this.failures = 0;
    this.refreshLater();
    this.owner.changed("live", "");
    this.owner.opened(this.accepted, resumed === false, position);
  }

  /** After `expired` come back at once with another token, unless the last one was as short-lived. */
  ended() {
    if (!this.isOpen) throw new Refusal("the stream ended before it began");
    const isRenewal = this.hasExpired && Date.now() - this.openedAt > this.retry;
    this.owner.changed("connecting", "");
    this.start(isRenewal ? 0 : this.backoff());
  }

  fail({ message, status, retryAfter }) {
    const unknown = this.tables.find((table) => `${message}.`.startsWith(`unknown table: ${table}.`));
    this.stop();
    if (status === 400 && unknown && this.tables.length > 1) {
      this.tables = this.tables.filter((table) => table !== unknown);
      this.start();
      this.owner.refused(unknown, message);
    } else if ([400, 401, 403].includes(status)) {
      this.owner.changed("denied", message);
    } else {
      this.start(this.backoff(retryAfter));
      this.owner.changed("offline", message);
    }
  }

  /** Return how long to wait: as the server asks for, longer after each failure, and not the same in every page. */
  backoff(retryAfter = 0) {
    const wait = Math.min(this.retry * 2 ** this.failures++, Math.max(this.retry, BACKOFF_MAX_MILLISECONDS));
    return Math.max(wait, retryAfter) * (1 + Math.random() / 2);
  }

  /** Give the open stream another token before its own expires, if the token says when that is. */
  refreshLater() {
    const left = expiry(this.token) - Date.now();
    const wait = left - Math.min(30_000, left / 5);
    if (wait > 1000) this.refreshing = setTimeout(() => this.refresh(), Math.min(wait, TIMER_MAX_MILLISECONDS));
  }

  /** A server that does not take another token gets another request. One that does not answer will end the stream. */
  async refresh() {
    const { signal } = this.request;
    try {
      const token = await this.options.token();
      const [url, headers] = [`${this.options.url}/${this.clientId}/token`, credentials(token)];
      const { status } = await fetch(url, { ...this.options.fetchOptions, method: "POST", headers, signal });
      if (status === 204) {
        this.token = token;
        this.refreshLater();
      } else if ([403, 404, 405].includes(status)) this.start();
    } catch {
      // `expired` will come.
    }
  }
}

/**
 * One stream for all tabs of a browser that have the same user. One tab leads: it holds a lock and the stream, and passes on
 * what the stream tells. The others tell it which tables they want. When it goes, another gets the lock, and opens the
 * stream at its own position. A message says between which positions it lies, so a tab skips what it has had, and notices what
 * it has missed. While a tab follows, its own stream only keeps the position.
 */
class Tabs {
  constructor(options, owner) {
    Object.assign(this, { options, owner });
    this.stream = new Stream({ ...options, token: options.token && (() => this.token()) }, this);
    this.id = String(Math.random());
    this.tables = [];
  }

  want(tables) {
    this.tables = tables;
    if (!tables.length) {
      this.leave();
      this.stream.forget();
    } else if (!this.visit) this.join();
    else if (this.leads) this.stream.want(this.union());
    else this.post({ wants: tables });
  }

  start() {
    if (!this.visit) this.join();
    else if (this.leads) this.stream.start();
    else this.post({ asks: true });
  }

  fail(error) {
    if (this.leads) this.stream.fail(error);
  }

  async join() {
    const visit = (this.visit = {});
    this.others = new Map();
    try {
      this.name = await this.sharedName();
    } catch (error) {
      return visit === this.visit && this.joinLater(error);
    }
    if (visit !== this.visit) return;
    if (!this.name) return this.lead();
    this.channel = new BroadcastChannel(this.name);
    this.channel.onmessage = ({ data }) => this.hear(data);
    this.heard();
    this.watching = setInterval(() => this.watch(), Math.min(WATCH_MILLISECONDS, this.options.silence));
    this.post({ wants: this.tables });
    this.compete();
  }

  joinLater({ message }) {
    this.visit = null;
    this.waiting = setTimeout(() => this.visit ?? this.join(), this.stream.backoff());
    this.changed("offline", message);
  }

  leave() {
    clearTimeout(this.waiting);
    this.post({ wants: [] });
    this.visit = null;
    this.turn?.abort();
    this.stepDown();
    clearInterval(this.watching);
    this.channel?.close();
    this.channel = null;
  }

  /** Return what only tabs that may share a stream have in common; null for a tab that is to have its own. */
  async sharedName() {
    const { tabs, token, url } = this.options;
    if (tabs === false || !globalThis.navigator?.locks) return null;
    if (!tabs && token) this.given = await token();
    this.user = tabs ?? userOf(this.given);
    return this.user && `ayb_realtime ${url} ${this.user}`;
  }

  /** Return a token for the stream. Throws if it is another user's: the other tabs must not get that user's rows. */
  async token() {
    const token = this.given ?? (await this.options.token());
    this.given = null;
    if (this.channel && !this.options.tabs && userOf(token) !== this.user) throw new Refusal("the user has changed", 403);
    return token;
  }

  // Who leads

  /** Wait for the lock, or take it from a tab that does not answer. Lead until another takes it, or this tab leaves. */
  async compete(steal = false) {
    this.turn?.abort();
    const { signal } = (this.turn = new AbortController());
    const hold = () => {
      if (signal.aborted) return;
      this.lead();
      return new Promise((resolve) => signal.addEventListener("abort", resolve));
    };
    try {
      await navigator.locks.request(this.name, steal ? { steal } : { signal }, hold);
    } catch (error) {
      if (error.name !== "AbortError") return this.lead(); // The browser gives this page no locks.
    }
    if (signal.aborted) return;
    this.stepDown();
    this.compete();
  }

  lead() {
    this.leads = true;
    this.inherited = this.stream.accepted; // until the others have answered
    this.post({ leads: true });
    this.stream.want(this.union());
  }

  stepDown() {
    this.leads = false;
    this.stream.stop();
  }

  union() {
    return [...new Set([this.tables, this.inherited, ...this.others.values()].flat())];
  }

  heard() {
    this.heardAt = Date.now();
    this.hasAsked = false;
  }

  /** Take the lead from a tab that is silent, and does not answer either: it hangs, or the browser has frozen it. */
  watch() {
    if (this.leads || Date.now() - this.heardAt < this.options.silence) return;
    if (this.hasAsked) this.compete(true);
    else this.post({ asks: true });
    this.hasAsked = !this.hasAsked;
  }

  // What the tabs say to each other

  post(message) {
    this.channel?.postMessage({ from: this.id, ...message });
  }

  hear({ from, wants, asks, leads, ...told }) {
    if (this.leads) {
      if (wants) this.others.set(from, wants);
      if (wants) this.stream.want(this.union());
      if (wants || asks) this.post({ method: "changed", values: this.state });
      return;
    }
    if (leads || told.method) this.heard();
    if (leads) this.post({ wants: this.tables });
    if (told.method) this.follow(told);
  }

  /** Do what the leading tab's stream has told. */
  follow({ method, values, before, after }) {
    const { stream, owner } = this;
    if (before === undefined) return owner[method](...values);
    const isGap = isLater(before, stream.position);
    const isNew = isLater(after, stream.position);
    let isReset = false;
    if (method === "opened") {
      const [tables, lost] = values;
      stream.accepted = tables;
      owner.opened(tables, lost || isGap);
      if (!this.tables.every((table) => tables.includes(table))) this.post({ wants: this.tables });
      isReset = lost;
    } else if (stream.accepted.length) {
      const [event] = values;
      if (isGap) owner.opened(stream.accepted, true);
      isReset = event?.action === "reset";
      if (event && (isNew || isReset || before === after)) owner.event(event, after);
    }
    if (isNew || isReset) stream.position = after;
  }

  // What the stream tells

  tell(method, values, after) {
    const before = after === undefined ? undefined : this.stream.position;
    this.post({ method, values, before, after });
    this.owner[method]?.(...values);
  }

  event(event, after) {
    this.tell("event", [event, after], after);
  }

  passed(after) {
    this.tell("passed", [], after);
  }

  opened(tables, lost, after) {
    this.inherited = [];
    this.tell("opened", [tables, lost], after);
  }

  refused(table, message) {
    for (const [id, tables] of this.others) this.others.set(id, tables.filter((one) => one !== table));
    this.tell("refused", [table, message]);
  }

  /** A tab that is denied leaves: the next one may have a better token. */
  changed(status, message) {
    this.state = [status, message];
    if (status === "denied") this.leave();
    this.tell("changed", this.state);
  }
}

/** The changes of a page's tables: see docs/client.md. All its subscriptions share one stream. */
export class Realtime {
  constructor({ url = "/api/realtime", token, tabs, heartbeatSeconds = 15, fetchOptions } = {}) {
    this.status = "connecting";
    this.message = "";
    this.onstatus = null;
    this.subscriptions = new Set();
    this.options = { url, token, tabs, silence: heartbeatSeconds * 2500, fetchOptions };
    this.tabs = new Tabs(this.options, this);
    this.lists = new Set();
    this.listening = new AbortController();
    this.listen(globalThis.window, { online: "cameOnline", offline: "wentOffline", pageshow: "thaw", pagehide: "freeze" });
    this.listen(globalThis.document, { resume: "thaw", freeze: "freeze" });
  }

  /**
   * Call back for each change of these tables. Return a function that ends that.
   *
   * The callback gets {action, table, record}; and {action: "reset", reason, tables} where it has to fetch the tables: when
   * its stream has opened, and when changes were lost.
   */
  subscribe(tables, callback) {
    const subscription = { tables: [tables].flat(), callback, isLive: false };
    this.subscriptions.add(subscription);
    this.update();
    return () => {
      this.subscriptions.delete(subscription);
      this.update();
    };
  }

  /** Return the rows of a table, kept as SELECT would return them. key: the columns of its primary key. */
  live(table, { key = ["id"] } = {}) {
    return new Live(this, table, [key].flat());
  }

  /** Open the stream again now, as after a log-in that follows "denied". */
  reconnect() {
    if (!this.subscriptions.size) return;
    this.changed("connecting", "");
    this.tabs.start();
  }

  /** End everything. */
  close() {
    this.listening.abort();
    this.lists.forEach((list) => list.close());
    this.subscriptions.clear();
    this.tabs.want([]);
  }

  /** Subscriptions that come together make one request. */
  update() {
    queueMicrotask(() => this.tabs.want([...new Set([...this.subscriptions].flatMap(({ tables }) => tables))]));
  }

  // What the browser tells

  listen(target, methods) {
    const { signal } = this.listening;
    for (const [type, method] of Object.entries(methods)) target?.addEventListener(type, () => this[method](), { signal });
  }

  cameOnline() {
    if (this.status !== "denied") this.reconnect();
  }

  wentOffline() {
    if (this.status !== "denied" && this.subscriptions.size) this.tabs.fail(new Refusal("the browser is offline"));
  }

  freeze() {
    this.isFrozen = true;
    this.tabs.leave();
  }

  thaw() {
    if (this.isFrozen) this.reconnect();
    this.isFrozen = false;
  }

  // What the stream tells

  event(event, position) {
    for (const subscription of this.subscriptions) {
      const tables = subscription.tables.filter((table) => (event.tables ?? [event.table]).includes(bare(table)));
      if (subscription.isLive && tables.length) {
        call(subscription.callback, event.tables ? { ...event, tables } : event, position);
      }
    }
  }

  opened(tables, lost) {
    for (const subscription of this.subscriptions) {
      const reason = subscription.isLive ? lost && "position lost" : "subscribed";
      subscription.isLive = subscription.tables.every((table) => tables.includes(table));
      if (!subscription.isLive) continue;
      if (reason) call(subscription.callback, { action: "reset", reason, tables: subscription.tables });
    }
  }

  refused(table, message) {
    for (const subscription of this.subscriptions) {
      if (!subscription.tables.includes(table)) continue;
      this.subscriptions.delete(subscription);
      call(subscription.callback, { action: "denied", reason: message, tables: subscription.tables });
    }
    this.update();
  }

  changed(status, message) {
    if (status === this.status && message === this.message) return;
    Object.assign(this, { status, message });
    call(this.onstatus, status, message);
    this.lists.forEach((list) => list.changed());
  }
}

/**
 * A table's rows as SELECT would return them: a snapshot, read by a stream of its own, and then the changes after it.
 *
 * rows: a Map from the key to the row; of several columns, the key is a JSON array of their values.
 */
class Live {
  constructor(realtime, table, key) {
    Object.assign(this, { realtime, table, key });
    this.rows = new Map();
    this.callbacks = new Set();
    this.status = "connecting";
    this.onstatus = null;
  }

  /** Call back with the rows and the change, or null after a snapshot. Return a function that ends that. */
  subscribe(callback) {
    const subscription = { callback };
    this.callbacks.add(subscription);
    if (this.callbacks.size === 1) this.open();
    else if (this.isReady) call(callback, this.rows, null);
    return () => this.callbacks.delete(subscription) && !this.callbacks.size && this.close();
  }

  open() {
    this.end = this.realtime.subscribe(this.table, (event, position) => this.take(event, position));
    this.realtime.lists.add(this);
    this.changed();
  }

  close() {
    this.end();
    this.realtime.lists.delete(this);
    this.reading?.forget();
    this.isReady = false;
  }

  take(event, position) {
    if (event.action === "reset") this.read();
    else if (event.action === "denied") this.refused = true;
    else if (!this.isReady) this.waiting.push([event, position]);
    else if (isLater(position, this.position)) this.apply(event);
    this.changed();
  }

  /** Read a snapshot. Of the changes that come meanwhile, those after its position count. */
  read() {
    this.reading?.forget();
    this.isReady = false;
    this.waiting = [];
    this.reading = new Stream({ ...this.realtime.options, query: { snapshot: "true" } }, new Snapshot(this));
    this.reading.want([this.table]);
  }

  ready(records, position) {
    this.reading.forget();
    this.rows = new Map(records.map((record) => [this.keyOf(record), record]));
    this.position = position;
    this.isReady = true;
    this.show(null);
    for (const [event, after] of this.waiting) if (isLater(after, position)) this.apply(event);
    this.changed();
  }

  apply(change) {
    const { action, record } = change;
    if (action === "delete") this.rows.delete(this.keyOf(record));
    else this.rows.set(this.keyOf(record), record);
    this.show(change);
  }

  show(change) {
    this.callbacks.forEach(({ callback }) => call(callback, this.rows, change));
  }

  keyOf(record) {
    return this.key.length === 1 ? record[this.key[0]] : JSON.stringify(this.key.map((name) => record[name]));
  }

  changed() {
    const { status: shared } = this.realtime;
    const status = this.refused ? "denied" : shared === "live" && !this.isReady ? "connecting" : shared;
    if (status === this.status) return;
    this.status = status;
    call(this.onstatus, status);
  }
}

/** Gathers the snapshot that a stream begins with, and hands it over when it is complete. */
class Snapshot {
  constructor(list) {
    this.list = list;
  }

  opened() {
    this.records = [];
  }

  snapshot({ records }) {
    for (const record of records) this.records.push(record);
  }

  ready(position) {
    this.list.ready(this.records, position);
  }

  /** A snapshot of a table that has just been reset is sent again. */
  event({ action }) {
    if (action === "reset") this.records = [];
  }

  passed() {}

  changed(status) {
    if (status === "denied") this.list.take({ action: "denied" });
  }
}

/** Call back. What a callback throws is an error of the page, and harms nothing else. */
function call(callback, ...values) {
  try {
    callback?.(...values);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Return a table's name as events have it, without its schema. */
function bare(table) {
  return table.split(".").pop();
}

function credentials(token) {
  if (!token) return {};
  return { Authorization: token.includes(" ") ? token : `Bearer ${token}` };
}

function isEventStream(response) {
  return /^text\/event-stream\s*(;|$)/i.test(response.headers.get("Content-Type") ?? "");
}

/** Return the server's message in the body of a refusal; undefined if there is none. */
function messageIn(text) {
  try {
    return JSON.parse(text).message;
  } catch {}
}

/** Return how long a response asks to wait, in milliseconds. */
function retryAfter(response) {
  const value = response.headers.get("Retry-After") ?? "";
  const milliseconds = /^\d+$/.test(value) ? value * 1000 : Date.parse(value) - Date.now();
  return milliseconds > 0 ? milliseconds : 0;
}

/** Return when a JWT expires, in milliseconds since the epoch; NaN for other tokens. */
function expiry(token) {
  return claims(token).exp * 1000;
}

/** Return a JWT's claims that are not about this one token; null if none of them names a user. */
function userOf(token) {
  const { exp, iat, nbf, jti, ...rest } = claims(token);
  return (rest.sub ?? rest.user_id) === undefined ? null : JSON.stringify(rest);
}

/** Return the claims of a JWT, unverified; none for other tokens. */
function claims(token) {
  try {
    const [, payload] = token.split(".");
    return JSON.parse(atob(payload.replace(/-/g, "+").replace(/_/g, "/")));
  } catch {
    return {};
  }
}

/** Compare positions, which may have more digits than a number holds. */
function isLater(position, other) {
  return BigInt(position) > BigInt(other);
}
