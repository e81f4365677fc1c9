// @ts-check
/** Messages to msgpack and back (PROTOCOL.md, "Transport"). What is decoded has the fields that this page reads. */

import { decode as unpack } from "./vendor/msgpack/decode.mjs";
import { encode as pack } from "./vendor/msgpack/encode.mjs";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").ServerMessage} ServerMessage */
/**
 * A field's form: a name of CHECKS (with "?" it may be absent or null), a list of one form for all items, or a map.
 * @typedef {string | [Form] | {[field: string]: Form}} Form
 */

export const SUBPROTOCOL = "voxwire.v1";

/** The server's bytes are not a message of version 1. */
export class WireFault extends Error {}

/** No value of version 1 is of an extension type, timestamps included. */
const NO_EXTENSIONS = {
  tryToEncode: () => null,
  decode: (/** @type {Uint8Array} */ _, /** @type {number} */ type) => {
    throw new Error(`an extension type (${type})`);
  },
};

/** Error codes of version 1. */
const CODES = new Set([
  "bad_message", "unknown_type", "unsupported_version", "bad_state", "bad_value", "unknown_utterance",
  "duplicate_utterance", "too_large", "too_many_utterances", "text_limit", "unauthorized", "forbidden_origin",
  "unknown_voice", "unsupported_format", "busy", "resume_failed", "replay_gap", "slow_consumer", "timeout",
  "engine_failed", "internal",
]);

/** @type {Record<string, (value: unknown) => boolean>} */
const CHECKS = {
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  number: (value) => Number.isFinite(value),
  count: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  bytes: (value) => value instanceof Uint8Array,
  packets: (value) => Array.isArray(value) && value.every((item) => item instanceof Uint8Array),
  word: (value) => Array.isArray(value) && value.length === 4 && value.every(CHECKS.count),
  map: (value) => isMap(value),
  reason: (value) => value === "end" || value === "cancelled" || value === "error",
  code: (value) => CODES.has(String(value)),
};

/** @type {Form} */
const FORMAT = { codec: "string", sample_rate: "count", pre_skip: "count", frame_ms: "count?" };

/** @type {Record<string, Record<string, Form>>} */
const MESSAGES = {
  ready: {
    version: "count", session: "string", voice: "string", limits: "map?", audio: FORMAT,
    resume_token: "string?", resumed: "boolean?", client_messages: "count?", resume: "string?",
    model: { name: "string", sample_rate: "count", patch_ms: "number", rtf: "number?" },
  },
  started: {
    utterance: "string", seq: "count", voice: "string", language: "string", audio: FORMAT, seed: "count?", params: "map?",
  },
  segment: { utterance: "string", seq: "count", text_start: "count", text_end: "count", pts: "count" },
  words: { utterance: "string", seq: "count", words: ["word"], estimated: "boolean?" },
  audio: { utterance: "string", seq: "count", pts: "count", samples: "count", data: "bytes?", packets: "packets?" },
  format: { utterance: "string", seq: "count", audio: FORMAT },
  done: { utterance: "string", seq: "count", reason: "reason", samples: "count", spoken: "map?" },
  error: { code: "code", message: "string", utterance: "string?", seq: "count?", fatal: "boolean?", retry_after_ms: "number?" },
  drain: { deadline_ms: "number" },
  pong: {},
};

/**
 * @param {ClientMessage} message
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encode(message) {
  return pack(message, { ignoreUndefined: true });
}

/**
 * @param {ArrayBuffer | Uint8Array} bytes one WebSocket message
 * @returns {ServerMessage | null} null for a type that version 1 does not know
 */
export function decode(bytes) {
  let message;
  try {
    message = unpack(bytes, { extensionCodec: NO_EXTENSIONS });
  } catch (error) {
    throw new WireFault(`expected one msgpack map, got something else: ${error instanceof Error ? error.message : error}`);
  }
  if (!isMap(message) || typeof message.type !== "string") throw new WireFault("expected a map with the key type");
  if (!Object.hasOwn(MESSAGES, message.type)) return null;
  check(message, MESSAGES[message.type], message.type);
  if (message.type === "audio" && Boolean(message.data) === Boolean(message.packets)) {
    throw new WireFault(`expected either data or packets in audio, got ${message.data ? "both" : "neither"}`);
  }
  return /** @type {ServerMessage} */ (/** @type {unknown} */ (message));
}

/**
 * @param {unknown} value
 * @param {Form} form
 * @param {string} path for the sentence
 */
function check(value, form, path) {
  if (typeof form === "string") {
    const name = form.replace("?", "");
    if (name !== form && (value === undefined || value === null)) return;
    if (!CHECKS[name](value)) throw new WireFault(`expected ${path} to be a ${name}, got ${JSON.stringify(value)}`);
  } else if (Array.isArray(form)) {
    if (!Array.isArray(value)) throw new WireFault(`expected ${path} to be a list, got ${JSON.stringify(value)}`);
    value.forEach((item, index) => check(item, form[0], `${path}[${index}]`));
  } else {
    if (!isMap(value)) throw new WireFault(`expected ${path} to be a map, got ${JSON.stringify(value)}`);
    for (const [field, inner] of Object.entries(form)) check(value[field], inner, `${path}.${field}`);
  }
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isMap(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value);
}
