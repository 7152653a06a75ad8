// The page "Realtime" of Django's admin: asks every two seconds while it is seen, and shows the answers.

const POLL_MS = 2000;
const SPAN_MS = 5 * 60 * 1000;
// A process may have told of its streams so long ago. Positions that are newer are no sign that a stream is behind.
const TOLD_MS = 7000;
const CHANGES_MAX = 200;

const page = document.getElementById("realtime");
const find = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();

/** Post a form's fields. Throws with a sentence for the page. */
async function post(path, fields = {}) {
  const body = new URLSearchParams(fields);
  body.set("csrfmiddlewaretoken", page.querySelector("[name=csrfmiddlewaretoken]").value);
  const response = await fetch(new URL(path, location.href), { method: "POST", body, redirect: "manual" });
  if (response.type === "opaqueredirect") throw new Error("You are logged out. Load the page again.");
  if (response.status === 403) throw new Error("You may not do that any more. Load the page again.");
  if (response.status === 503) throw new Error(`The database does not answer. ${(await response.json()).problem}`);
  if (!response.ok) throw new Error(`The server answers ${response.status}.`);
  return response;
}

function say(problem) {
  find("rt-problem").hidden = !problem;
  if (find("rt-problem").textContent !== problem) find("rt-problem").textContent = problem;
}

/** Make an element. */
function element(name, text = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// The log's positions, oldest first: the chart, and how far streams are behind.

const samples = [];

function addSample(head) {
  const at = Date.now();
  if (samples.length && head < samples.at(-1).head) samples.length = 0; // A new log.
  const last = samples.at(-1);
  const rate = last ? ((head - last.head) * 1000) / Math.max(1, at - last.at) : null;
  samples.push({ at, head, rate });
  while (samples[0].at < at - SPAN_MS) samples.shift();
}

function drawChart() {
  const now = Date.now();
  const rates = samples.filter((sample) => sample.rate !== null);
  const top = Math.max(0, ...rates.map((sample) => sample.rate));
  const most = Math.max(1, top);
  const x = (at) => (600 - (600 * (now - at)) / SPAN_MS).toFixed(1);
  const points = rates.map(({ at, rate }) => `${x(at)} ${(116 - (108 * rate) / most).toFixed(1)}`);
  const line = points.length ? `M ${points.join(" L ")}` : "";
  page.querySelector(".rt-line").setAttribute("d", line);
  page.querySelector(".rt-area").setAttribute("d", line && `${line} L ${x(rates.at(-1).at)} 120 L ${x(rates[0].at)} 120 Z`);
  const rate = rates.at(-1)?.rate;
  find("rt-rate").textContent = rate === undefined ? "…" : short(rate);
  find("rt-chart-says").textContent = `Changes a second, since you opened the page. Most: ${short(top)}`;
}

const short = (value) => number.format(value < 10 ? Math.round(value * 10) / 10 : Math.round(value));

function showLog(log) {
  const seen = log.unseen === null ? "none leads" : `last seen ${number.format(Math.round(log.unseen))} s ago`;
  find("rt-relay").textContent = log.leads ? "leads" : seen;
  find("rt-relay").classList.toggle("rt-bad", !log.leads);
  find("rt-no-relay").hidden = log.leads;
  find("rt-head").textContent = log.head; // Ungrouped, as logs and events have it.
  find("rt-waiting").textContent = number.format(log.waiting);
  find("rt-size").textContent = `${number.format(Math.round(log.bytes / 1024))} kB`;
  addSample(log.head);
  drawChart();
}

// Open streams: a row each, which stays the same element, so that it keeps the focus.

const rows = new Map();

function showStreams({ streams, count, processes }) {
  const body = page.querySelector(".rt-streams tbody");
  find("rt-count").textContent = !count ? "None." :
    `${number.format(count)} in ${number.format(processes)} ${processes === 1 ? "process" : "processes"}` +
    (count > streams.length ? `; shown are the ${number.format(streams.length)} that are most behind, or oldest` : "") +
    ".";
  page.querySelector(".rt-streams").hidden = !streams.length;
  const gone = new Set(rows.keys());
  for (const stream of streams) {
    gone.delete(stream.handle);
    if (!rows.has(stream.handle)) {
      rows.set(stream.handle, makeRow(stream));
      body.append(rows.get(stream.handle));
    }
    updateRow(rows.get(stream.handle), stream);
  }
  for (const handle of gone) {
    rows.get(handle).remove();
    rows.delete(handle);
  }
}

function makeRow(stream) {
  const row = element("tr", "", { role: "row" });
  const tables = stream.tables.join(", ") + (stream.filtered ? " (filtered)" : "");
  row.append(element("td", stream.user, { "data-label": "User" }), element("td", tables, { "data-label": "Tables" }));
  row.append(element("td", "", { "data-label": "Open for", title: new Date(stream.opened * 1000).toLocaleString() }));
  row.append(element("td", "", { "data-label": "Behind" }), element("td", stream.process, { "data-label": "Process" }));
  if (page.dataset.mayEnd === "yes") {
    const button = element("button", "End", { class: "button", type: "button", "aria-label": `End the stream of ${stream.user}` });
    button.onclick = () => end(stream.handle, button);
    const cell = element("td");
    cell.append(button);
    row.append(cell);
  }
  for (const cell of row.cells) cell.setAttribute("role", "cell");
  return row;
}

function updateRow(row, { opened, position, read }) {
  const [, , since, behind] = row.cells;
  since.textContent = duration(Date.now() / 1000 - opened);
  const known = samples.findLast((sample) => sample.at < Date.now() - TOLD_MS);
  const late = known ? Math.max(0, known.head - position) : null;
  behind.textContent = late ? `${number.format(late)} positions` : !read ? "its client reads slowly" : late === 0 ? "no" : "…";
  behind.classList.toggle("rt-late", Boolean(late) || !read);
}

function duration(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  const [size, unit] = units.find(([each]) => seconds >= each) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

async function end(stream, button) {
  button.disabled = true;
  button.textContent = "Ending…";
  try {
    await post("end/", { stream });
  } catch (error) {
    say(error.message);
    button.disabled = false;
    button.textContent = "End";
  }
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await (await post("now/")).json();
      showLog(answer.log);
      showStreams(answer);
      say("");
    } catch (error) {
      say(error instanceof TypeError ? "The server does not answer." : error.message);
    }
  }
  setTimeout(poll, POLL_MS);
}

// Who sees what.

function showKey() {
  const { key } = find("rt-table").selectedOptions[0].dataset;
  const fields = key.split(",").map((name, index) => {
    const field = element("p");
    field.append(element("label", `Key: ${name}`, { for: `rt-key-${index}` }), " ");
    field.append(element("input", "", { id: `rt-key-${index}`, name: "key", class: "vTextField", autocomplete: "off" }));
    return field;
  });
  find("rt-key").replaceChildren(...fields);
}

async function ask(event) {
  event.preventDefault();
  const result = find("rt-result");
  result.setAttribute("aria-busy", "true");
  try {
    // A part of the page, written and escaped by Django's template.
    result.innerHTML = await (await post(event.submitter.value, new FormData(event.target))).text();
  } catch (error) {
    result.replaceChildren(element("p", error.message, { class: "errornote" }));
  }
  result.removeAttribute("aria-busy");
}

// Changes as they come: a stream of the site's own. A ticket opens one stream, so each time there is another.

class Tail {
  constructor(tables, onstatus) {
    this.tables = tables;
    this.onstatus = onstatus;
    this.position = "";
    this.open();
  }

  async open() {
    this.onstatus("connecting");
    try {
      const { ticket } = await (await post("ticket/")).json();
      if (this.closed) return;
      const query = new URLSearchParams({ tables: this.tables, ticket });
      if (this.position) query.set("last_event_id", this.position);
      this.source = new EventSource(`${page.dataset.streamUrl}?${query}`);
      this.source.onerror = () => this.again("The stream has ended, or does not open. Trying again.");
      for (const name of ["connected", "message", "reset"]) this.source.addEventListener(name, (event) => this.take(event));
    } catch (error) {
      this.again(error.message);
    }
  }

  take({ type, data, lastEventId }) {
    this.position = lastEventId;
    if (type === "connected") this.onstatus("live");
    else addChange(lastEventId, JSON.parse(data), data);
  }

  again(reason) {
    this.source?.close();
    if (this.closed) return;
    this.onstatus(reason);
    this.timer = setTimeout(() => this.open(), 3000);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.source?.close();
    this.onstatus("");
  }
}

function addChange(position, { action = "reset", table, tables, reason }, data) {
  const list = find("rt-changes");
  // The row as it was sent: JavaScript would round its numbers.
  const what = reason ?? data.slice(data.indexOf('"record":') + 9, -1);
  const item = element("li", `${position} `);
  item.append(element("b", action), ` ${table ?? tables.join(", ")} ${what}`);
  list.hidden = false;
  list.prepend(item);
  while (list.children.length > CHANGES_MAX) list.lastChild.remove();
}

let tail = null;

function toggleTail(event) {
  event.preventDefault();
  const { tables } = event.target.elements;
  if (tail) tail.close();
  tail = tail ? null : new Tail(tables.value, (status) => (find("rt-tail-status").textContent = status));
  tables.disabled = Boolean(tail);
  event.submitter.textContent = tail ? "Stop" : "Follow";
}

find("rt-table")?.addEventListener("change", showKey);
find("rt-explain")?.addEventListener("submit", ask);
find("rt-tail")?.addEventListener("submit", toggleTail);
if (find("rt-table")) showKey();
poll();
