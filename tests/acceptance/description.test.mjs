// asyncapi.json is what AsyncAPI's own schema takes, and each of its references leads somewhere.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import specs from "@asyncapi/specs";
import Ajv from "ajv";

const read = async (name) => JSON.parse(await readFile(new URL(name, `file://${process.env.CLIENT}`)));
const files = { "asyncapi.json": await read("asyncapi.json"), "openapi.json": await read("openapi.json") };
const described = files["asyncapi.json"];

function errors(document) {
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const validate = ajv.compile(specs.schemasWithoutId[document.asyncapi]);
  return validate(document) ? [] : validate.errors;
}

function* references(part) {
  if (part === null || typeof part !== "object") return;
  if (typeof part.$ref === "string") yield part.$ref;
  for (const each of Object.values(part)) yield* references(each);
}

test("the description is valid", () => {
  assert.deepEqual(errors(described), []);
  assert.notDeepEqual(errors({ ...described, operations: { stream: { action: "stream" } } }), []);
});

test("each reference leads somewhere", () => {
  for (const [name, document] of Object.entries(files)) {
    const found = [...references(document)];
    assert.ok(found.length > 10);
    for (const reference of found) {
      const [file, pointer] = reference.split("#");
      const keys = pointer.split("/").slice(1);
      assert.ok(keys.reduce((part, key) => part?.[key], files[file || name]), reference);
    }
  }
});
