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
  /** All that were asked for. */
  starts = [];
  /** @type {{code: string, retry_after_ms?: number} | null} what a start is answered with */
  refusal = null;
  isDraining = false;

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
      this.starts.push(message);
      if (this.refusal) {
        session.refused.add(message.utterance);
        this.#say(wire, { type: "error", message: "no", utterance: message.utterance, fatal: false, ...this.refusal });
        return undefined;
      }
      const begun = { text: "", at: 0, seq: 0, ended: false, isDone: false, held: [], gone: -1 };
      session.utterances.set(message.utterance, begun);
      this.#give(session, message.utterance, { type: "started", voice: "v", language: "en", seed: 1, params: {}, audio: PCM });
      return undefined;
    }
    if (session.refused.has(message.utterance)) return undefined;
    if (!one) throw new Error(`${message.type} for ${message.utterance}, which was never started`);
    if (one.isDone && message.type !== "playhead") return undefined;
    if (one.ended && !["playhead", "cancel"].includes(message.type)) throw new Error(`${message.type} after the end`);
    if (message.type === "text") one.text += message.text;
    if (message.type === "end") one.ended = true;
    if (message.type === "playhead") this.#letGo(one, message.received ?? 0);
    if (message.type === "cancel" && !one.isDone) {
      one.isDone = one.ended = true;
      const spoken = { text_end: one.at, pts: one.at, mid_word: false, estimated: true, text: "", remaining: "" };
      this.#give(session, message.utterance, { type: "done", reason: "cancelled", samples: one.at, text_chars: one.at, spoken });
    }
    return undefined;
  }

  /** Speaks one character, or ends an utterance, of each session that has one to speak. */
  work() {
    for (const session of this.#sessions.values()) {
      for (const [utterance, one] of session.utterances) {
        if (one.isDone) continue;
        if (one.at < one.text.length) {
          const start = one.at++;
          const segment = { text_start: start, text_end: start + 1, pts: start };
          this.#give(session, utterance, { type: "segment", index: start, spoken: "", ...segment });
          this.#give(session, utterance, { type: "words", words: [[start, start + 1, start, start + 1]] });
          const data = new Uint8Array(Int16Array.of(one.text.charCodeAt(start)).buffer);
          this.#give(session, utterance, { type: "audio", pts: start, samples: 1, data });
        } else if (one.ended) {
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
    this.refusal = null;
    this.isDraining = false;
    for (const wire of wires) if (!wire.isCut) wire.cut();
  }

  /** What is held for a resume goes, as at the bound of the replay. */
  letGo() {
    for (const { utterances } of this.#sessions.values()) for (const one of utterances.values()) this.#letGo(one, one.seq);
  }

  /** It goes away: it says so, ends all that it still speaks and takes nothing more. */
  drain() {
    this.isDraining = true;
    this.refusal = { code: "busy", retry_after_ms: 10 };
    for (const session of this.#sessions.values()) {
      this.#say(session.wire, { type: "drain", deadline_ms: 1000 });
      for (const [utterance, { isDone }] of session.utterances) if (!isDone) this.#breakOff(session, utterance, "busy");
    }
  }

  #breakOff(session, utterance, code) {
    const one = session.utterances.get(utterance);
    one.isDone = true;
    this.#give(session, utterance, { type: "error", code, message: "no more", fatal: false });
    this.#give(session, utterance, { type: "done", reason: "error", samples: one.at, text_chars: one.at });
  }

  #letGo(one, wanted) {
    one.held = one.held.filter(({ seq }) => seq >= wanted);
    one.gone = Math.max(one.gone, wanted - 1);
  }

  /** @param {Wire} wire */
  #greet(wire, { resume }) {
    let session = resume && this.#sessions.get(resume.session);
    if (session && ![session.newest, session.presented].includes(resume.token)) session = null;
    if (resume && !session) this.#say(wire, { type: "error", code: "resume_failed", message: "gone" });
    const resumed = Boolean(session);
    if (!session) {
      session = { id: `s${++this.#num}`, counted: 0, counts: new Map(), utterances: new Map(), refused: new Set(), newest: "", presented: "" };
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
      server: { name: "model", version: "1" }, model: MODEL, audio: PCM, voice: "v", limits: { utterances: 2 }, resume: "local", unknown: [],
    });
    if (this.isDraining) this.#say(wire, { type: "drain", deadline_ms: 1000 });
    if (!resumed) return;
    for (const [utterance, one] of session.utterances) {
      const wanted = resume.received[utterance];
      if (wanted === undefined) session.utterances.delete(utterance);
      else if (wanted <= one.gone) this.#breakOff(session, utterance, "replay_gap");
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

/** Numbers in 0..1, the same for a seed. (mulberry32) */
export function dice(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a Link needs of its surroundings: sockets to a model server, and a clock that goes only when it is told to. */
export class World {
  server = new ModelServer();
  /** @type {Wire[]} */
  wires = [];
  clock = 0;
  #timers = new Map();
  #num = 0;

  /** @param {() => number} random */
  constructor(random) {
    this.random = random;
  }

  open = () => {
    this.wires.push(new Wire());
    return this.wires.at(-1);
  };

  now = () => this.clock;

  later = (act, ms) => {
    this.#timers.set(++this.#num, { at: this.clock + ms, act });
    return this.#num;
  };

  forget = (timer) => this.#timers.delete(timer);

  look = async () => "away";

  get wire() {
    return this.wires.at(-1);
  }

  /** Time goes on to a timer: the next, or one that is due little later. */
  tick() {
    const due = [...this.#timers].sort(([, left], [, right]) => left.at - right.at);
    const soon = due.filter(([, { at }]) => at <= due[0][1].at + 20);
    const chosen = soon[Math.floor(this.random() * soon.length)];
    if (!chosen) return;
    this.#timers.delete(chosen[0]);
    this.clock = Math.max(this.clock, chosen[1].at);
    chosen[1].act();
  }

  /** All that is on its way arrives, in order. */
  flow() {
    for (const wire of this.wires) {
      if (wire.isCut || wire.isMute) continue;
      if (wire.readyState === 0) wire.open();
      while (wire.up.length) this.server.take(wire);
      while (wire.down.length) wire.deliver();
    }
  }

  /** A message arrives, time passes or a link breaks; by `chance` (0 to 1), in any order. */
  happen(chance) {
    const recent = this.wires.slice(-3);
    const wire = recent[Math.floor(this.random() * recent.length)];
    const alive = !wire.isCut && !wire.isMute;
    if (chance < 0.2) this.server.work();
    else if (chance < 0.4 && alive && wire.up.length) this.server.take(wire);
    else if (chance < 0.75 && alive && wire.down.length) wire.deliver();
    else if (chance < 0.83 && alive && wire.readyState === 0) wire.open();
    else if (chance < 0.94) this.tick();
    else if (chance < 0.985 && alive) wire.cut();
    else if (chance < 0.995) wire.isMute = true;
    else if (chance < 0.9965) this.server.forget();
  }
}
