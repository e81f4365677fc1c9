/**
 * A server by PROTOCOL.md, small enough to be seen through, on links that break at any point: every character of a text is
 * spoken as one sample that holds its code. Nothing happens by itself; a test decides what happens next.
 */

import { decode } from "../../web_client/vendor/msgpack/decode.mjs";
import { encode } from "../../web_client/wire.js";

const PCM = { codec: "pcm_s16le", sample_rate: 44100, bitrate: 32000, frame_ms: 20, pre_skip: 0 };
const MODEL = { name: "letters", sample_rate: 44100, patch_ms: 160 };
const COUNTED = new Set(["start", "text", "flush", "end", "cancel", "format"]);

/** A connection: the browser's socket on one side, two queues of bytes on their way. */
export class Wire {
  readyState = 0;
  onopen = null;
  onmessage = null;
  onclose = null;
  up = [];
  down = [];
  isCut = false;

  /** @param {Uint8Array} bytes */
  send(bytes) {
    this.up.push(bytes.slice());
  }

  /** As the browser's: what it has sent still arrives, and nothing is heard any more. */
  close() {
    this.readyState = 3;
  }

  open() {
    this.readyState = 1;
    this.onopen?.();
  }

  /** The client hears of it; what was on its way is lost. */
  cut() {
    this.isCut = true;
    this.up = [];
    this.down = [];
    this.readyState = 3;
    this.onclose?.({ code: 1006, reason: "" });
  }

  deliver() {
    const bytes = this.down.shift();
    this.onmessage?.({ data: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) });
  }
}

export class ModelServer {
  #sessions = new Map();
  #num = 0;

  /** Takes the next message of a wire. @param {Wire} wire */
  take(wire) {
    const message = decode(wire.up.shift());
    if (message.type === "hello") return this.#greet(wire, message);
    const session = wire.session;
    if (!session || session.wire !== wire) return undefined; // another connection has it
    session.presented = "";
    if (COUNTED.has(message.type)) session.counted += 1;
    if (message.type === "ping") return this.#say(wire, { type: "pong" });
    const one = session.utterances.get(message.utterance);
    if (message.type === "start") {
      if (one) throw new Error(`${message.utterance} was started twice`);
      const begun = { text: "", at: 0, seq: 0, ended: false, held: [] };
      session.utterances.set(message.utterance, begun);
      this.#give(session, message.utterance, { type: "started", voice: "v", language: "en", seed: 1, params: {}, audio: PCM });
      return undefined;
    }
    if (!one) throw new Error(`${message.type} for ${message.utterance}, which was never started`);
    if (one.ended && message.type !== "playhead") throw new Error(`${message.type} after the end`);
    if (message.type === "text") one.text += message.text;
    if (message.type === "end") one.ended = true;
    if (message.type === "playhead") one.held = one.held.filter(({ seq }) => seq >= message.received);
    return undefined;
  }

  /** Speaks one character, or ends an utterance, of each session that has one to speak. */
  work() {
    for (const session of this.#sessions.values()) {
      for (const [utterance, one] of session.utterances) {
        if (one.at < one.text.length) {
          const start = one.at++;
          const segment = { text_start: start, text_end: start + 1, pts: start };
          if (start % 3 === 0) this.#give(session, utterance, { type: "segment", index: start, spoken: "", ...segment });
          this.#give(session, utterance, { type: "words", words: [[start, start + 1, start, start + 1]] });
          const data = new Uint8Array(Int16Array.of(one.text.charCodeAt(start)).buffer);
          this.#give(session, utterance, { type: "audio", pts: start, samples: 1, data });
        } else if (one.ended && !one.isDone) {
          one.isDone = true;
          this.#give(session, utterance, { type: "done", reason: "end", samples: one.at, text_chars: one.at });
        }
      }
    }
  }

  /** All sessions are forgotten, as by another process in its place. */
  forget() {
    const wires = [...this.#sessions.values()].map(({ wire }) => wire);
    this.#sessions.clear();
    for (const wire of wires) if (!wire.isCut) wire.cut();
  }

  /** @param {Wire} wire */
  #greet(wire, { resume }) {
    let session = resume && this.#sessions.get(resume.session);
    if (session && ![session.newest, session.presented].includes(resume.token)) session = null;
    if (resume && !session) this.#say(wire, { type: "error", code: "resume_failed", message: "gone" });
    const resumed = Boolean(session);
    if (!session) {
      session = { id: `s${++this.#num}`, counted: 0, counts: new Map(), utterances: new Map(), newest: "", presented: "" };
      this.#sessions.set(session.id, session);
    }
    const taken = resumed ? session.counted - session.counts.get(resume.token) : 0;
    session.presented = resume?.token ?? "";
    session.newest = `t${++this.#num}`;
    session.counts.set(session.newest, session.counted);
    session.wire = wire;
    wire.session = session;
    this.#say(wire, {
      type: "ready", version: 1, session: session.id, resume_token: session.newest, resumed, client_messages: taken,
      server: { name: "model", version: "1" }, model: MODEL, audio: PCM, voice: "v", limits: {}, resume: "local", unknown: [],
    });
    if (!resumed) return;
    for (const [utterance, one] of session.utterances) {
      const wanted = resume.received[utterance];
      if (wanted === undefined) session.utterances.delete(utterance);
      else for (const message of one.held) if (message.seq >= wanted) this.#say(wire, message);
    }
  }

  /** Numbers a message of an utterance, holds it and says it, if somebody is there. */
  #give(session, utterance, fields) {
    const one = session.utterances.get(utterance);
    const message = { ...fields, utterance, seq: one.seq };
    if (fields.type === "audio") one.seq += 1;
    one.held.push(message);
    this.#say(session.wire, message);
  }

  #say(wire, message) {
    if (!wire.isCut) wire.down.push(encode(message));
  }
}
