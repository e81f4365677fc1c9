// @ts-check
/**
 * The Worker: owns the socket and the decoders and feeds the playing thread over its own port, so that speech goes on
 * while the page's thread is busy. The page sends it PageToNet messages and hears NetToPage ones.
 */

import { Link } from "./link.js";
import { Outbox } from "./outbox.js";
import { Outlook } from "./outlook.js";
import { Playhead } from "./playhead.js";
import { Stream } from "./stream.js";
import { wavFile } from "./wav.js";

/** @typedef {import("./messages.js").PageToNet} PageToNet */
/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./messages.js").NetToSink} NetToSink */
/** @typedef {import("./messages.js").SinkToNet} SinkToNet */
/** @typedef {import("./messages.js").ServerMessage} ServerMessage */
/** @typedef {import("./messages.js").Start} Start */
/** @typedef {{postMessage(message: NetToPage, transfer: Transferable[]): void, onmessage: ((event: {data: PageToNet}) => void) | null}} WorkerScope */

/** Kept for the download, over all utterances; the oldest go first. */
const MAX_KEPT_SAMPLES = 32 * 2 ** 20;
const MAX_KEPT = 64;
const CUT_WAIT_MS = 50;

/**
 * @typedef {object} Speech one utterance, both directions
 * @property {Stream} stream
 * @property {Outbox} outbox
 * @property {Playhead} playhead
 * @property {boolean} endAsked no more text will come from the page
 * @property {boolean} endSent
 * @property {number} timer of the outbox
 * @property {{upTo: number, at: number}[]} sentAt when the text up to a code point left; until the first audio
 * @property {number} clauseAt when the first clause's last text left
 */

class Net {
  #scope;
  #link = new Link((message) => this.#receive(message), (report) => this.#report(report));
  /** @type {import("./messages.js").Ready | null} */
  #ready = null;
  /** @type {MessagePort | null} */
  #sink = null;
  #sinkRate = 0;
  /** @type {Map<string, Speech>} */
  #speeches = new Map();
  #stopTimer = 0;
  #stopTrack = -1;

  /** @param {WorkerScope} scope */
  constructor(scope) {
    this.#scope = scope;
    scope.onmessage = ({ data }) => this.#command(data);
  }

  /**
   * @param {NetToPage} message
   * @param {Transferable[]} [transfer]
   */
  #toPage(message, transfer = []) {
    this.#scope.postMessage(message, transfer);
  }

  /** @param {PageToNet} message */
  #command(message) {
    switch (message.type) {
      case "connect":
        return this.#link.connect(message.url, message.token);
      case "retry":
        return this.#link.retry();
      case "sink":
        this.#sink = message.port;
        this.#sinkRate = message.sampleRate;
        message.port.onmessage = ({ data }) => this.#heardFrom(data);
        return undefined;
      case "start":
        return this.#start(message.track, message.start);
      case "text":
        return this.#text(message.utterance, message.text);
      case "end":
        return this.#end(message.utterance);
      case "stop":
        return this.#stop(message.track);
      case "stop-at-word":
        return this.#cancel(message.utterance, "word");
      case "wav":
        return this.#wav(message.utterance);
      case "close":
        return this.#link.close();
    }
  }

  /**
   * @param {number} track
   * @param {Start} start
   */
  #start(track, start) {
    const utterance = start.utterance;
    const { realtime, rtf } = this.#ready?.model ?? {};
    const stream = new Stream({
      utterance,
      track,
      tickRate: this.#ready?.model.sample_rate ?? 0,
      sinkRate: this.#sinkRate,
      toPage: (message, transfer) => this.#toPage(message, transfer),
      toSink: (message, transfer = []) => this.#sink?.postMessage(message, transfer),
      fail: (code, message) => this.#fail(utterance, code, message),
      outlook: realtime === false && rtf ? new Outlook({ rtf, speed: start.speed }) : null,
    });
    const playhead = new Playhead((progress) => this.#link.send({ type: "playhead", utterance, ...progress }));
    const outbox = new Outbox(this.#ready?.limits);
    this.#speeches.set(utterance, {
      stream, outbox, playhead, endAsked: false, endSent: false, timer: 0, sentAt: [], clauseAt: 0,
    });
    this.#forgetOldest();
    if (!this.#link.send(start)) stream.finish(null);
  }

  /**
   * @param {string} utterance
   * @param {string} text
   */
  #text(utterance, text) {
    const speech = this.#speeches.get(utterance);
    if (!speech || speech.stream.over) return;
    // An empty text tells the server that the writer has not paused; what waits here tells as much when it leaves.
    if (!text && !speech.outbox.length && !speech.stream.cut) this.#link.send({ type: "text", utterance, text });
    speech.outbox.push(text);
    speech.stream.write(text);
    this.#pump(utterance, speech);
  }

  /** @param {string} utterance */
  #end(utterance) {
    const speech = this.#speeches.get(utterance);
    if (!speech || speech.stream.over) return;
    speech.endAsked = true;
    this.#pump(utterance, speech);
  }

  /**
   * Sends what text may be sent, and the end after the last of it.
   * @param {string} utterance
   * @param {Speech} speech
   */
  #pump(utterance, speech) {
    clearTimeout(speech.timer);
    if (speech.stream.over || speech.stream.cut) return;
    const { text, waitMs } = speech.outbox.take(performance.now());
    if (text) {
      this.#link.send({ type: "text", utterance, text });
      if (!speech.stream.received) speech.sentAt.push({ upTo: speech.outbox.sent, at: performance.now() });
    }
    if (Number.isFinite(waitMs)) speech.timer = setTimeout(() => this.#pump(utterance, speech), waitMs);
    if (speech.endAsked && !speech.endSent && !speech.outbox.length) {
      speech.endSent = true;
      this.#link.send({ type: "end", utterance });
    }
  }

  /**
   * Barge-in. The page has told the playing thread too; its answer says where, and only then the server hears of it.
   * @param {number} track this and all before it
   */
  #stop(track) {
    this.#stopTrack = Math.max(this.#stopTrack, track);
    for (const { stream } of this.#speeches.values()) if (stream.track <= track) stream.cut = true;
    clearTimeout(this.#stopTimer);
    this.#stopTimer = setTimeout(() => this.#cancelStopped(), this.#sink ? CUT_WAIT_MS : 0);
  }

  #cancelStopped() {
    clearTimeout(this.#stopTimer);
    for (const [utterance, { stream }] of this.#speeches) {
      if (stream.track <= this.#stopTrack) this.#cancel(utterance, "now");
    }
  }

  /**
   * @param {string} utterance
   * @param {"now" | "word"} at
   */
  #cancel(utterance, at) {
    const speech = this.#speeches.get(utterance);
    if (!speech) return;
    clearTimeout(speech.timer);
    if (!speech.stream.over) this.#link.send({ type: "cancel", utterance, at, played: speech.stream.played });
  }

  /** @param {string} utterance */
  #wav(utterance) {
    const stream = this.#speeches.get(utterance)?.stream;
    const file = stream?.recording ? wavFile(stream.recording.chunks, stream.sampleRate) : null;
    this.#toPage({ type: "wav", utterance, file }, file ? [file] : []);
  }

  /** @param {SinkToNet} message */
  #heardFrom(message) {
    if (message.type === "sounding") {
      const [utterance, speech] = this.#byTrack(message.track);
      if (!speech || !speech.clauseAt) return;
      this.#toPage({ type: "figure", utterance, firstSoundMs: performance.now() - speech.clauseAt });
      speech.clauseAt = 0;
      return;
    }
    const { track, offset } = message.type === "cut" ? message.heard : message;
    const [, speech] = this.#byTrack(track);
    const played = speech?.stream.heard(offset);
    if (message.type === "cut") this.#cancelStopped();
    else speech?.playhead.update({ played, paused: message.paused });
  }

  /**
   * @param {number} track
   * @returns {[string, Speech] | [string, undefined]}
   */
  #byTrack(track) {
    for (const entry of this.#speeches) if (entry[1].stream.track === track) return entry;
    return ["", undefined];
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "ready":
        this.#ready = message;
        return this.#toPage(message);
      case "error":
        return this.#refused(message);
      case "drain":
      case "pong":
        return undefined;
    }
    const speech = this.#speeches.get(message.utterance);
    if (!speech) return undefined;
    if (message.type === "segment") this.#segment(message.utterance, speech, message.text_end);
    const first = message.type === "audio" && !speech.stream.received;
    speech.stream.receive(message);
    if (first && speech.clauseAt) {
      const firstAudioMs = performance.now() - speech.clauseAt;
      this.#toPage({ type: "figure", utterance: message.utterance, firstAudioMs });
    }
    if (message.type === "audio" || message.type === "done") {
      speech.playhead.update({ received: speech.stream.received });
      for (const { stream } of this.#speeches.values()) stream.outlook?.queue(performance.now());
    }
    return undefined;
  }

  /** @param {string} utterance @param {Speech} speech @param {number} textEnd code points */
  #segment(utterance, speech, textEnd) {
    speech.clauseAt ||= speech.sentAt.find(({ upTo }) => upTo >= textEnd)?.at ?? 0;
    speech.outbox.spoken = textEnd;
    this.#pump(utterance, speech);
  }

  /** @param {import("./messages.js").WireError} error */
  #refused(error) {
    const utterance = error.utterance ?? undefined;
    const stream = utterance === undefined ? undefined : this.#speeches.get(utterance)?.stream;
    // A refused `start` has no `done`; an accepted one brings its own.
    if (stream && !stream.started) stream.finish(null);
    this.#toPage({ type: "error", code: error.code, message: error.message, utterance });
  }

  /**
   * What comes of this utterance cannot be played.
   * @param {string} utterance
   * @param {string} code
   * @param {string} message
   */
  #fail(utterance, code, message) {
    this.#cancel(utterance, "now");
    this.#speeches.get(utterance)?.stream.finish(null);
    this.#toPage({ type: "error", code, message, utterance });
  }

  /** @param {import("./link.js").LinkReport} report */
  #report(report) {
    // A fresh session knows nothing of these; what has arrived is played to its end.
    if (report.state !== "ready") for (const { stream } of this.#speeches.values()) stream.finish(null);
    this.#toPage({ type: "link", ...report });
  }

  #forgetOldest() {
    let samples = 0;
    for (const [index, [utterance, { stream, playhead }]] of [...this.#speeches].reverse().entries()) {
      samples += stream.recording?.length ?? 0;
      if (!stream.over || (samples <= MAX_KEPT_SAMPLES && index < MAX_KEPT)) continue;
      playhead.close();
      this.#speeches.delete(utterance);
    }
  }
}

new Net(/** @type {WorkerScope} */ (/** @type {unknown} */ (self)));
