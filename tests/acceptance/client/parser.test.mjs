// The parser, with the cases of web-platform-tests' eventsource/format-*.any.js, each named as there. Not here: format-mime-*,
// which are about the response's type (see stream.test.mjs).
import assert from "node:assert/strict";
import { test } from "node:test";

const { EventParser } = await import(process.env.CLIENT);
const utf8 = new TextEncoder();

/** Parse a stream that arrives in pieces of this many bytes. */
function parse(bytes, { size = bytes.length, after = "" } = {}) {
  const parser = new EventParser(after);
  const events = [];
  for (let at = 0; at < bytes.length; at += size) events.push(...parser.push(bytes.subarray(at, at + size)));
  return { parser, events };
}

/** Test that a stream has these events, in whatever pieces it arrives: each its data, or [data, type], or [data, type, id]. */
function check(name, stream, expected, { retry = null, id } = {}) {
  test(name, () => {
    const bytes = typeof stream === "string" ? utf8.encode(stream) : stream;
    for (const size of [bytes.length, 1, 2, 3, 7]) {
      const { parser, events } = parse(bytes, { size });
      const whole = expected.map((one) => [one].flat()).map(([data, type = "message", id]) => ({ data, type, id }));
      const actual = events.map(({ data, type, lastEventId }, at) => ({ data, type, id: whole[at]?.id && lastEventId }));
      assert.deepEqual(actual, whole.map(({ data, type, id }) => ({ data, type, id })), `in pieces of ${size}`);
      assert.equal(parser.retry, retry);
      if (id !== undefined) assert.equal(parser.lastEventId, id);
    }
  });
}

check("format-bom", "\uFEFFdata:one\n\n\uFEFFdata:two\n\ndata:three\n\n", ["one", "three"]);
check("format-bom-2", "\uFEFF\uFEFFdata:one\n\ndata:two\n\ndata:three\n\n", ["two", "three"]);
check(
  "format-comments",
  `data:one\r:\0\n:\r\ndata:two\n:${"-".repeat(5000)}\rdata:three\n:data:no\r:${"-".repeat(5000)}\ndata:four\n\n`,
  ["one\ntwo\nthree\nfour"],
);
check("format-data-before-final-empty-line", "data:whole\n\nid:7\ndata:torn", ["whole"], { id: "" });
check("format-field-data", "data:\n\ndata\ndata\n\ndata:end\n\n", ["", "\n", "end"]);
check("format-field-event", "event:greeting\ndata:one\n\ndata:two\n\n", [["one", "greeting"], "two"]);
check("format-field-event-empty", "event: \ndata:one\n\n", ["one"]);
check("format-field-id", "id:…\ndata:one\n\n", [["one", "message", "…"]], { id: "…" });
check("format-field-id-3, persists", "id:1\ndata:a\n\ndata:b\n\n", [["a", "message", "1"], ["b", "message", "1"]]);
check("format-field-id-3, changes", "id:1\ndata:a\n\nid:2\ndata:b\n\n", [["a", "message", "1"], ["b", "message", "2"]]);
check("format-field-id-3, resets", "id:1\ndata:a\n\nid\ndata:b\n\n", ["a", "b"], { id: "" });
check("format-field-id-null", "id:5\ndata:a\n\nid:6\0\ndata:b\n\n", ["a", ["b", "message", "5"]], { id: "5" });
check(
  "format-field-parsing",
  "data:\0\ndata:  one\rData:no\ndata\0:no\ndata:two\r\0data:no\nda-ta:no\rdata_5\ndata:three\rdata:\r\n data:no\ndata:four\n\n",
  ["\0\n one\ntwo\nthree\n\nfour"],
);
check("format-field-retry", "retry:03000\ndata:x\n\n", ["x"], { retry: 3000 });
check("format-field-retry-bogus", "retry:3000\nretry:1000x\nretry:-1\nretry:1e3\ndata:x\n\n", ["x"], { retry: 3000 });
check("format-field-retry-empty", "retry\ndata:x\n\n", ["x"]);
check("format-field-unknown", "data:a\n data\ndata\nother:no\njust text\n:comment\ndata:b\n\n", ["a\n\nb"]);
check("format-leading-space", "data:\ta\rdata: \ndata:b\n\n", ["\ta\n\nb"]);
check("format-newlines", "data:a\r\ndata\ndata:b\r\n\r", ["a\n\nb"]);
check("format-null-character", "data:\0\n\n", ["\0"]);
check("format-utf-8", "data:one… 🪁 two\n\n", ["one… 🪁 two"]);

check("an event without data is not dispatched, but its id counts", "event:a\nid:3\n\ndata:b\n\n", [["b", "message", "3"]]);
check("a retry counts before the empty line", "retry: 500\n", [], { retry: 500 });
check("bytes that are no UTF-8", new Uint8Array([100, 97, 116, 97, 58, 0xff, 10, 10]), ["\uFFFD"]);

test("format-field-id-2: a stream that continues after an id keeps it until another comes", () => {
  const { events } = parse(utf8.encode("data:a\n\nid:9\ndata:b\n\n"), { after: "8" });
  assert.deepEqual(events.map((event) => event.lastEventId), ["8", "9"]);
});

test("an event is there as soon as its empty line is, whichever ends it", () => {
  const parser = new EventParser();
  assert.equal(parser.push(utf8.encode("data:a\r\r")).length, 1);
  assert.equal(parser.push(utf8.encode("\ndata:b\r\n\r")).length, 1);
  assert.equal(parser.push(utf8.encode("\n\n")).length, 0);
});
