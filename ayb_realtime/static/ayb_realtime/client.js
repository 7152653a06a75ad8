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

  /** Return what came of a failure. What a page's own code throws, whatever it is, says nothing about the stream. */
  static from(error) {
    return error instanceof Refusal ? error : new Refusal(String(error?.message ?? error));
  }

  static async of(response) {
    const text = await response.text();
    return new Refusal(messageIn(text) ?? `${response.status} ${response.statusText}`, response.status, retryAfter(response));
  }
}

/**
 * The stream of some tables, each in one view (see viewOf), which comes back by itself after whatever ended it, at the position
 * where it was.
 *
 * owner: told by event(event, position) of each event; by passed(position) that there is nothing more up to there; by
 * opened(views, lost, position) which views the open stream has, and whether changes before it are lost; by
 * changed(status, message) of the status; by refused(view, message) of a view that it goes on without.
 */
class Stream {
  constructor(options, owner) {
    Object.assign(this, { options, owner });
    this.views = [];
    this.retry = 2000; // in milliseconds, until the server says otherwise
    this.forget();
  }

  forget() {
    this.stop();
    this.position = "";
    this.accepted = []; // the views of the stream that opened last
    this.failures = 0;
  }

  /** Have these views in the stream. More than it has open another; fewer count from the next time on. */
  want(views) {
    this.views = views;
    if (!views.length) this.forget();
    else if (this.isDue) return;
    else if (!views.every((view) => this.asked.includes(view))) this.start();
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

  /** Fail if nothing came for too long: the connection is dead, or the computer has slept. Its clock may go back. */
  watch() {
    if (!this.heardAt || Math.abs(Date.now() - this.heardAt) < this.options.silence) return;
    this.fail(new Refusal("the server is silent"));
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
    this.asked = this.views;
    const headers = credentials(this.token);
    if (this.position) headers["Last-Event-ID"] = this.position;
    const query = new URLSearchParams({ ...queryOf(this.asked), ...this.options.query });
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
    if (type === "message") this.owner.event(parsed(data), lastEventId);
    if (type === "snapshot") this.owner.snapshot(parsed(data));
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

  fail(error) {
    const { message, status, retryAfter } = Refusal.from(error);
    const wrong = this.views.find((view) => isAbout(message, view));
    this.stop();
    if (status === 400 && wrong && this.views.length > 1) {
      this.views = this.views.filter((view) => view !== wrong);
      this.start();
      this.owner.refused(wrong, message);
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
 * what the stream tells. The others tell it which views they want. When it goes, another gets the lock, and opens the
 * stream at its own position. A message says between which positions it lies, so a tab skips what it has had, and notices what
 * it has missed. While a tab follows, its own stream only keeps the position.
 */
class Tabs {
  constructor(options, owner) {
    Object.assign(this, { options, owner });
    this.stream = new Stream({ ...options, token: options.token && (() => this.token()) }, this);
    this.id = String(Math.random());
    this.views = [];
    this.state = ["connecting", ""];
  }

  want(views) {
    this.views = views;
    if (!views.length) {
      this.leave();
      this.stream.forget();
    } else if (!this.visit) this.join();
    else if (this.leads) this.stream.want(this.union());
    else this.post({ wants: views });
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
    this.channel = this.name && openChannel(this.name);
    if (!this.channel) return this.lead();
    this.channel.onmessage = ({ data }) => this.hear(data);
    this.heard();
    this.watching = setInterval(() => this.watch(), Math.min(WATCH_MILLISECONDS, this.options.silence));
    this.post({ wants: this.views });
    this.compete();
  }

  joinLater(error) {
    this.visit = null;
    this.waiting = setTimeout(() => this.visit ?? this.join(), this.stream.backoff());
    this.changed("offline", Refusal.from(error).message);
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
    if (!tabs && token) this.given = await within(this.options.silence, token());
    this.user = tabs ?? userOf(this.given);
    return this.user && `ayb_realtime ${url} ${this.user}${this.options.lane || ""}`;
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

  /** Return the views that all tabs want. A tab that wants others of a name than a tab before it has to move on. */
  union() {
    let chosen = new Map();
    for (const [id, views] of [[this.id, this.views], ["", this.inherited], ...this.others]) {
      const wanted = byName(views);
      for (const view of conflicts(wanted, chosen)) this.post({ moves: id, view });
      chosen = new Map([...chosen, ...wanted, ...chosen]); // what is chosen stays, and stays before the rest
    }
    return [...chosen.values()].flat();
  }

  heard() {
    this.heardAt = Date.now();
    this.hasAsked = false;
  }

  /** Take the lead from a tab that is silent, and does not answer either: it hangs, or the browser has frozen it. */
  watch() {
    if (this.leads || Math.abs(Date.now() - this.heardAt) < this.options.silence) return;
    if (this.hasAsked) this.compete(true);
    else this.post({ asks: true });
    this.hasAsked = !this.hasAsked;
  }

  // What the tabs say to each other

  post(message) {
    this.channel?.postMessage({ from: this.id, ...message });
  }

  hear({ from, wants, asks, leads, moves, view, ...told }) {
    if (moves) {
      if (moves === this.id) this.owner.moved(view);
    } else if (this.leads) {
      if (wants) this.others.set(from, wants);
      if (wants) this.stream.want(this.union());
      if (wants || asks) this.post({ method: "changed", values: this.state });
    } else if (leads || told.method) {
      this.heard();
      if (leads) this.post({ wants: this.views });
      if (told.method) this.follow(told);
    }
  }

  /** Do what the leading tab's stream has told. */
  follow({ method, values, before, after }) {
    const { stream, owner } = this;
    if (before === undefined) return owner[method](...values);
    const isGap = isLater(before, stream.position);
    const isNew = isLater(after, stream.position);
    let isReset = false;
    if (method === "opened") {
      const [views, lost] = values;
      stream.accepted = views;
      owner.opened(views, lost || isGap);
      if (!this.views.every((view) => views.includes(view))) this.post({ wants: this.views });
      isReset = lost;
    } else if (stream.accepted.length) {
      const [event] = values;
      if (isGap) owner.opened(stream.accepted, true);
      isReset = event?.action === "reset";
      if (event && (isNew || isReset || before === after)) owner.event(event, before === after ? null : after);
    }
    if (isNew || isReset) stream.position = after;
  }

  // What the stream tells

  tell(method, values, after) {
    const before = after === undefined ? undefined : this.stream.position;
    this.post({ method, values, before, after });
    this.owner[method]?.(...values);
  }

  /** Of an event without an id, the parser says that of the one before. It has no position. */
  event(event, after) {
    this.tell("event", [event, after === this.stream.position ? null : after], after);
  }

  passed(after) {
    this.tell("passed", [], after);
  }

  opened(views, lost, after) {
    this.inherited = [];
    this.tell("opened", [views, lost], after);
  }

  refused(view, message) {
    for (const [id, views] of this.others) this.others.set(id, views.filter((one) => one !== view));
    this.tell("refused", [view, message]);
  }

  /** A tab that is denied leaves: the next one may have a better token. */
  changed(status, message) {
    this.state = [status, message];
    if (status === "denied") this.leave();
    this.tell("changed", this.state);
  }
}

/** The changes of a page's tables: see docs/client.md. Its subscriptions share one stream, or a few: see Lane. */
export class Realtime {
  constructor(options) {
    const { url = "/api/realtime", token, tabs, heartbeatSeconds = 15, fetchOptions } = given(options);
    this.status = "connecting";
    this.message = "";
    this.onstatus = null;
    this.subscriptions = new Set();
    this.options = { url, token, tabs, silence: heartbeatSeconds * 2500, fetchOptions };
    this.lanes = [];
    this.lists = new Set();
    this.listening = new AbortController();
    this.listen(globalThis.window, { online: "cameOnline", offline: "wentOffline", pageshow: "thaw", pagehide: "freeze" });
    this.listen(globalThis.document, { resume: "thaw", freeze: "freeze" });
  }

  /**
   * Call back for each change of these tables, of the rows and with the columns that the filter and the fields choose.
   * Return a function that ends that.
   *
   * The callback gets {action, table, record}; and {action: "reset", reason, tables} where it has to fetch the tables: when
   * its stream has opened, and when changes were lost.
   */
  subscribe(tables, callback, options) {
    const subscription = this.add([tables].flat(), callback, options);
    return () => this.remove(subscription);
  }

  /** Return the rows of a table, kept as SELECT would return them. key: the columns of its primary key. */
  live(table, options) {
    const { key = ["id"], ...choice } = given(options);
    return new Live(this, table, [key].flat(), choice);
  }

  /** Open the streams again now, as after a log-in that follows "denied". */
  reconnect() {
    for (const lane of this.active()) {
      lane.changed("connecting", "");
      lane.tabs.start();
    }
    this.lists.forEach((list) => list.readAgain());
  }

  /** End everything. */
  close() {
    this.listening.abort();
    this.lists.forEach((list) => list.close());
    this.subscriptions.clear();
    for (const lane of this.lanes) lane.tabs.want([]);
  }

  add(tables, callback, options) {
    const views = tables.map((table) => viewOf(table, tables, given(options)));
    const subscription = { tables, views, callback, isLive: false };
    this.place(subscription, 0);
    this.subscriptions.add(subscription);
    this.update();
    return subscription;
  }

  remove(subscription) {
    this.subscriptions.delete(subscription);
    this.update();
  }

  /** Give a subscription the first lane from this one on that has no other views of its tables' names. */
  place(subscription, number) {
    const lane = (this.lanes[number] ??= new Lane(this, number));
    if (conflicts(byName(subscription.views), byName(lane.views())).length) this.place(subscription, number + 1);
    else Object.assign(subscription, { lane, isLive: false });
  }

  /** Subscriptions that come together make one request. */
  update() {
    queueMicrotask(() => {
      for (const lane of this.lanes) lane.tabs.want(lane.views());
      this.changed();
    });
  }

  /** Return the lanes that have subscriptions. */
  active() {
    return this.lanes.filter((lane) => lane.subscriptions().length);
  }

  /** Have the status of the lane that is worst off. */
  changed() {
    const lanes = this.active();
    const worst = STATUSES.map((status) => lanes.find((lane) => lane.status === status)).find(Boolean) ?? this;
    const { status, message } = worst;
    if (status !== this.status || message !== this.message) {
      Object.assign(this, { status, message });
      call(this.onstatus, status, message);
    }
    this.lists.forEach((list) => list.changed());
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
    if (this.status === "denied") return;
    for (const lane of this.active()) lane.tabs.fail(new Refusal("the browser is offline"));
  }

  freeze() {
    this.isFrozen = true;
    for (const lane of this.lanes) lane.tabs.leave();
  }

  thaw() {
    if (this.isFrozen) this.reconnect();
    this.isFrozen = false;
  }
}

// Worst first.
const STATUSES = ["denied", "offline", "connecting", "live"];

/** One stream of a page, and the subscriptions that share it. There is a second where a table's name has two views. */
class Lane {
  constructor(realtime, number) {
    Object.assign(this, { realtime, number, status: "connecting", message: "" });
    this.tabs = new Tabs({ ...realtime.options, lane: number }, this);
  }

  subscriptions() {
    return [...this.realtime.subscriptions].filter(({ lane }) => lane === this);
  }

  views() {
    return [...new Set(this.subscriptions().flatMap(({ views }) => views))];
  }

  // What the stream tells

  event(event, position) {
    for (const { tables: all, isLive, callback } of this.subscriptions()) {
      const tables = all.filter((table) => (event.tables ?? [event.table]).includes(bare(table)));
      if (isLive && tables.length) call(callback, event.tables ? { ...event, tables } : event, position);
    }
  }

  opened(views, lost) {
    for (const subscription of this.subscriptions()) {
      const reason = subscription.isLive ? lost && "position lost" : "subscribed";
      subscription.isLive = subscription.views.every((view) => views.includes(view));
      if (!subscription.isLive) continue;
      if (reason) call(subscription.callback, { action: "reset", reason, tables: subscription.tables });
    }
  }

  refused(view, message) {
    for (const subscription of this.subscriptions()) {
      if (!subscription.views.includes(view)) continue;
      this.realtime.remove(subscription);
      call(subscription.callback, { action: "denied", reason: message, tables: subscription.tables });
    }
  }

  /** Another tab has this table in another view in this lane. */
  moved(view) {
    const moving = this.subscriptions().filter(({ views }) => views.includes(view));
    for (const subscription of moving) this.realtime.place(subscription, this.number + 1);
    this.realtime.update();
  }

  changed(status, message) {
    Object.assign(this, { status, message });
    this.realtime.changed();
  }
}

/**
 * A table's rows as SELECT would return them: a snapshot, read by a stream of its own, and then the changes after it.
 *
 * rows: a Map from the key to the row; of several columns, the key is a JSON array of their values.
 */
class Live {
  constructor(realtime, table, key, options) {
    Object.assign(this, { realtime, table, key, options });
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
    const take = (event, position) => this.take(event, position);
    this.refused = false;
    this.subscription = this.realtime.add([this.table], take, this.options);
    this.realtime.lists.add(this);
    this.changed();
  }

  close() {
    this.realtime.remove(this.subscription);
    this.realtime.lists.delete(this);
    this.reading?.forget();
    this.isReady = false;
  }

  take(event, position) {
    if (event.action === "reset") this.read();
    else if (event.action === "denied") this.refuse();
    else if (!this.isReady) this.waiting.push([event, position]);
    else if (this.isNews(position)) this.apply(event);
    this.changed();
  }

  /** A change without a position, as while another table's reset is due, may be older: then newer ones follow it. */
  isNews(position) {
    return position === null || isLater(position, this.position);
  }

  refuse() {
    this.refused = true;
    this.changed();
  }

  /** Read again after a snapshot that was refused, or that waits to be tried again. */
  readAgain() {
    if (this.reading && !this.isReady && this.realtime.subscriptions.has(this.subscription)) this.read();
    this.changed();
  }

  /** Read a snapshot. Of the changes that come meanwhile, those after its position count. */
  read() {
    this.reading?.forget();
    this.isReady = this.refused = false;
    this.waiting = [];
    this.reading = new Stream({ ...this.realtime.options, query: { snapshot: "true" } }, new Snapshot(this));
    this.reading.want(this.subscription.views);
  }

  ready(records, position) {
    this.reading.forget();
    if (!records.every((record) => this.hasKey(record))) return;
    this.rows = new Map(records.map((record) => [this.keyOf(record), record]));
    this.position = position;
    this.isReady = true;
    this.show(null);
    for (const [event, after] of this.waiting) if (this.isNews(after)) this.apply(event);
    this.changed();
  }

  apply(change) {
    const { action, record } = change;
    if (!this.hasKey(record)) return;
    if (action === "delete") this.rows.delete(this.keyOf(record));
    else this.rows.set(this.keyOf(record), record);
    this.show(change);
  }

  show(change) {
    this.callbacks.forEach(({ callback }) => call(callback, this.rows, change));
  }

  /** Tell whether a row has the columns of the key. End a list whose rows lack one: they would all count as the same row. */
  hasKey(record) {
    const lacking = this.key.find((name) => !(name in record));
    if (lacking === undefined) return true;
    this.realtime.remove(this.subscription);
    this.refuse();
    call(() => {
      throw new Error(`live("${this.table}"): a row has no column "${lacking}". Say which columns are the key: { key: [...] }`);
    });
    return false;
  }

  keyOf(record) {
    return this.key.length === 1 ? record[this.key[0]] : JSON.stringify(this.key.map((name) => record[name]));
  }

  changed() {
    const { status: shared } = this.subscription.lane;
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
    if (status === "denied") this.list.refuse();
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

/**
 * Return the view that a stream may have of one of these tables: its name, and what a filter and fields say of it. A stream
 * has each table in one view.
 */
function viewOf(table, tables, { filter, fields }) {
  return [table, ofTable(filter, table, tables), ofTable(fields, table, tables)].join("\0").replace(/\0+$/, "");
}

/** Return the options that were given: null means the default, as undefined does. */
function given(options) {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value !== null && value !== undefined));
}

function tableOf(view) {
  return view.split("\0")[0];
}

/** Return views by what events call their table: of two tables of the same name, an event does not say which it is of. */
function byName(views) {
  const found = new Map();
  for (const view of views) {
    const name = bare(tableOf(view));
    found.set(name, [...(found.get(name) ?? []), view].sort());
  }
  return found;
}

/** Return those of some views whose name has other views among those chosen. Both: as byName returns them. */
function conflicts(wanted, chosen) {
  const isOther = ([name, views]) => chosen.has(name) && String(chosen.get(name)) !== String(views);
  return [...wanted].filter(isOther).flatMap(([, views]) => views);
}

/** Return the query that asks for some views. */
function queryOf(views) {
  const lists = ["tables", "filter", "fields"].map((name, place) => [name, views.map((view) => view.split("\0")[place])]);
  return Object.fromEntries(lists.map(([name, list]) => [name, list.filter(Boolean).join(",")]).filter(([, text]) => text));
}

/** Return the parts of a list that are about one of these tables, each with its name. The list has commas between its parts. */
function ofTable(list, table, tables) {
  const parts = [list ?? []].flat().flatMap((text) => text.match(/(?:\\[^]?|[^,\\])+/g) ?? []);
  return parts
    .map((part) => part.trimStart())
    .filter(Boolean)
    .map((part) => (tables.some((one) => part.startsWith(`${one}.`)) ? part : `${table}.${part}`))
    .filter((part) => part.startsWith(`${table}.`))
    .join(",");
}

/** Tell whether the server's refusal is about this view. */
function isAbout(message, view) {
  const table = tableOf(view);
  if (/^(filter|fields): /.test(message)) return [table, bare(table)].some((name) => message.includes(` ${name}.`));
  return `${message}.`.startsWith(`unknown table: ${table}.`);
}

/** Return what a promise returns. Throws if that takes longer than so many milliseconds. */
async function within(milliseconds, promise) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(reject, milliseconds, new Refusal("no token came"));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Open a channel to the other tabs; return null if the browser gives this page none. */
function openChannel(name) {
  try {
    return new BroadcastChannel(name);
  } catch {
    return null;
  }
}

function credentials(token) {
  if (!token) return {};
  return { Authorization: token.includes(" ") ? token : `Bearer ${token}` };
}

function isEventStream(response) {
  return /^text\/event-stream\s*(;|$)/i.test(response.headers.get("Content-Type") ?? "");
}

/** Parse JSON. An integer that a number does not hold exactly becomes a string: two keys must not become one. */
function parsed(json) {
  if (!/\d{16}/.test(json)) return JSON.parse(json);
  const isUnsafe = (token) => /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token));
  let isInText = false;
  const read = (token) => {
    if (token === '"') isInText = !isInText;
    return !isInText && isUnsafe(token) ? `"${token}"` : token;
  };
  // In short pieces: a match of a whole text could need more of a stack than the engine has.
  return JSON.parse(json.replace(/\\[^]|"|-?\d[-+.\dEe]*/g, read));
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
