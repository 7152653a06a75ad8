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
