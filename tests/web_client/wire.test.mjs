import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { decode, encode, WireFault } from "../../web_client/wire.js";

const vectors = JSON.parse(readFileSync(new URL("../../protocol/vectors.json", import.meta.url), "utf8"));

/** @param {string} hex */
const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

/** The vectors' {"bytes": hex} become bytes. */
function revive(value) {
  if (Array.isArray(value)) return value.map(revive);
  if (typeof value !== "object" || value === null) return value;
  if (typeof value.bytes === "string" && Object.keys(value).length === 1) return bytes(value.bytes);
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, revive(inner)]));
}

test("client messages are written as the golden ones, byte for byte", () => {
  const messages = vectors.messages.filter(({ side }) => side === "client");
  assert.ok(messages.length > 10);
  for (const { name, decoded, msgpack } of messages) {
    assert.equal(Buffer.from(encode(revive(decoded))).toString("hex"), msgpack, name);
  }
});

test("an absent value leaves no key", () => {
  assert.deepEqual(encode({ type: "hello", version: 1, token: undefined }), encode({ type: "hello", version: 1 }));
});

test("server messages are read as the golden ones", () => {
  const messages = vectors.messages.filter(({ side }) => side === "server");
  assert.ok(messages.length > 10);
  for (const { name, decoded, msgpack } of messages) assert.deepEqual(decode(bytes(msgpack)), revive(decoded), name);
});

test("what a later server may say is read", () => {
  for (const { name, side, decoded, msgpack } of vectors.tolerated) {
    if (side !== "server") continue;
    const message = decode(bytes(msgpack));
    for (const [key, value] of Object.entries(decoded)) if (key !== "fatal") assert.deepEqual(message[key], value, name);
  }
  assert.equal(decode(encode({ type: "weather", sun: true })), null);
});

test("malformed server messages are refused with a sentence", () => {
  const messages = vectors.malformed.filter(({ side, msgpack }) => side === "server" && msgpack !== undefined);
  assert.ok(messages.length >= 5);
  for (const { name, msgpack } of messages) assert.throws(() => decode(bytes(msgpack)), WireFault, name);
  for (const hex of ["", "c1", "93", "01", "81a474797065"]) assert.throws(() => decode(bytes(hex)), /expected/);
});
