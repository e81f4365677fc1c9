// @ts-check
/**
 * What the Worker does: owns the socket and the decoders and feeds the playing thread over its own port, so that speech
 * goes on while the page's thread is busy. The page sends it PageToNet messages and hears NetToPage ones.
 */

import { Link } from "./link.js";
import { Outlook } from "./outlook.js";
import { Speech } from "./speech.js";
import { Splices } from "./splices.js";
import { Stream } from "./stream.js";
import { wavFile } from "./wav.js";

/** @typedef {import("./messages.js").PageToNet} PageToNet */
/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./messages.js").SinkToNet} SinkToNet */
/** @typedef {import("./messages.js").ServerMessage} ServerMessage */
/** @typedef {import("./messages.js").Start} Start */
/** @typedef {{postMessage(message: NetToPage, transfer: Transferable[]): void, onmessage: ((event: {data: PageToNet}) => void) | null}} WorkerScope */

/** Kept for the download, over all utterances; the oldest go first. */
const MAX_KEPT_SAMPLES = 32 * 2 ** 20;
const MAX_KEPT = 64;
const CUT_WAIT_MS = 50;
const BUSY_MS = 1_000;

export class Switchboard {
  #scope;
  /** @type {import("./link.js").Hooks} */
  #hooks = {
    receive: (message) => this.#receive(message),
    report: (report) => this.#report(report),
    fault: (wire, sentence) => {
      const speech = this.#byWire(wire);
      if (speech) this.#fail(speech, "bad_message", sentence);
    },
    expecting: () => !this.#paused && this.#live.length > 0,
    busy: () => this.#live.length > 0,
  };
  #link;
  /** @type {import("./messages.js").Ready | null} */
  #ready = null;
  /** @type {MessagePort | null} */
  #sink = null;
  #sinkRate = 0;
  #paused = false;
  /** By the page's ids. @type {Map<string, Speech>} */
  #speeches = new Map();
  #splices = new Splices();
  #stopTimer = 0;
  #stopTrack = -1;

  /**
   * @param {WorkerScope} scope
   * @param {import("./link.js").World} [world]
   */
  constructor(scope, world) {
    this.#scope = scope;
    this.#link = new Link(this.#hooks, world);
    scope.onmessage = ({ data }) => this.#command(data);
  }

  /**
   * @param {NetToPage} message
   * @param {Transferable[]} [transfer]
   */
  #toPage(message, transfer = []) {
    this.#scope.postMessage(message, transfer);
  }

  /** Those that the server has not finished with. */
  get #live() {
    return [...this.#speeches.values()].filter(({ stream }) => !stream.over);
  }

  /** @param {PageToNet} message */
  #command(message) {
    switch (message.type) {
      case "connect":
        return this.#link.connect(message.url, message.token);
      case "retry":
        return this.#link.retry();
      case "wake":
        return this.#link.wake();
      case "nudge":
        return this.#link.nudge();
      case "sink":
        this.#sink = message.port;
        this.#sinkRate = message.sampleRate;
        message.port.onmessage = ({ data }) => this.#heardFrom(data);
        return undefined;
      case "start":
        return this.#start(message.track, message.start);
      case "text":
        return this.#speeches.get(message.utterance)?.write(message.text);
      case "end":
        return this.#speeches.get(message.utterance)?.end();
      case "stop":
        return this.#stop(message.track);
      case "stop-at-word":
        return this.#speeches.get(message.utterance)?.cancel("word");
      case "wav":
        return this.#wav(message.utterance);
      case "close":
        this.#giveUp();
        return this.#link.close();
    }
  }

  /**
   * @param {number} track
   * @param {Start} start
   */
  #start(track, start) {
    const utterance = start.utterance;
    this.#paused = false;
    const { realtime, rtf } = this.#ready?.model ?? {};
    const stream = new Stream({
      utterance,
      track,
      tickRate: this.#ready?.model.sample_rate ?? 0,
      sinkRate: this.#sinkRate,
      toPage: (message, transfer) => this.#toPage(message, transfer),
      toSink: (message, transfer = []) => this.#sink?.postMessage(message, transfer),
      fail: (code, message) => this.#fail(speech, code, message),
      outlook: realtime === false && rtf ? new Outlook({ rtf, speed: start.speed }) : null,
    });
    const speech = new Speech({
      start,
      stream,
      link: this.#link,
      limits: this.#ready?.limits,
      hooks: {
        find: (id) => this.#speeches.get(id),
        hasRoom: () => this.#live.filter(({ isKnown }) => isKnown).length < (this.#ready?.limits?.utterances ?? Infinity),
        splice: (track, place) => this.#splices.ask(this.#sink, track, place),
      },
    });
    this.#speeches.set(utterance, speech);
    this.#forgetOldest();
    this.#link.wake();
    speech.pump();
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
    for (const speech of this.#speeches.values()) if (speech.stream.track <= this.#stopTrack) speech.cancel("now");
  }

  /** @param {string} utterance */
  #wav(utterance) {
    const stream = this.#speeches.get(utterance)?.stream;
    const file = stream?.recording ? wavFile(stream.recording.chunks, stream.sampleRate) : null;
    this.#toPage({ type: "wav", utterance, file }, file ? [file] : []);
  }

  /** @param {SinkToNet} message */
  #heardFrom(message) {
    switch (message.type) {
      case "sounding": {
        const [utterance, speech] = this.#byTrack(message.track);
        if (!speech?.clauseAt) return;
        this.#toPage({ type: "figure", utterance, firstSoundMs: performance.now() - speech.clauseAt });
        speech.clauseAt = 0;
        return;
      }
      case "spliced":
        return this.#splices.answer(message);
      case "cut":
        this.#byTrack(message.heard.track)[1]?.stream.heard(message.heard.offset);
        return this.#cancelStopped();
      case "heard":
        this.#paused = message.paused;
        this.#byTrack(message.track)[1]?.heard(message.offset, message.paused);
    }
  }

  /**
   * @param {number} track
   * @returns {[string, Speech] | [string, undefined]}
   */
  #byTrack(track) {
    for (const entry of this.#speeches) if (entry[1].stream.track === track) return entry;
    return ["", undefined];
  }

  /** @param {string} wire @returns {Speech | undefined} */
  #byWire(wire) {
    for (const speech of this.#speeches.values()) if (speech.wire === wire) return speech;
    return undefined;
  }

  /** @param {ServerMessage} message */
  #receive(message) {
    switch (message.type) {
      case "ready":
        return this.#begin(message);
      case "error":
        return this.#complain(message);
      case "drain":
        return this.#toPage({ type: "drain" });
      case "pong":
        return undefined;
    }
    const speech = this.#byWire(message.utterance);
    if (!speech) return undefined;
    if (message.type === "started") speech.accepted = true;
    if (message.type === "done" && speech.brokenOff && message.reason === "error") {
      speech.hold();
      if (!this.#link.draining) speech.restart();
      return undefined;
    }
    if (message.type === "segment") speech.segment(message);
    const first = message.type === "audio" && !speech.stream.received;
    speech.stream.receive(message);
    if (first && speech.clauseAt) {
      this.#toPage({ type: "figure", utterance: speech.id, firstAudioMs: performance.now() - speech.clauseAt });
    }
    if (message.type === "audio" || message.type === "done") {
      speech.received();
      for (const { stream } of this.#speeches.values()) stream.outlook?.queue(performance.now());
    }
    if (message.type === "done") for (const one of this.#live) if (!one.isKnown) one.pump(); // there is room again
    return undefined;
  }

  /** @param {import("./messages.js").Ready} ready */
  async #begin(ready) {
    const isOther = this.#ready !== null && ready.model.sample_rate !== this.#ready.model.sample_rate;
    this.#ready = ready;
    this.#toPage(ready);
    if (ready.resumed) {
      for (const speech of this.#speeches.values()) speech.resume();
      return;
    }
    if (isOther) this.#giveUp();
    for (const speech of [...this.#speeches.values()]) await speech.restart(); // one after the other, as they are heard
  }

  /** @param {import("./messages.js").WireError} error */
  #complain(error) {
    const speech = error.utterance ? this.#byWire(error.utterance) : undefined;
    const isBusy = error.code === "busy";
    if (speech && !speech.accepted) {
      // A refused `start` has no `done`; an accepted one brings its own.
      if (isBusy && (this.#link.draining || speech.isRest)) return speech.postpone(error.retry_after_ms ?? BUSY_MS);
      speech.stream.finish(null);
    } else if (speech && !speech.stream.cut && (error.code === "replay_gap" || (isBusy && this.#link.draining))) {
      speech.brokenOff = true;
      return undefined;
    }
    return this.#toPage({ type: "error", code: error.code, message: error.message, utterance: speech?.id });
  }

  /**
   * What comes of this utterance cannot be played.
   * @param {Speech} speech
   * @param {string} code
   * @param {string} message
   */
  #fail(speech, code, message) {
    speech.cancel("now");
    speech.stream.finish(null);
    this.#toPage({ type: "error", code, message, utterance: speech.id });
  }

  /** What has arrived is played to its end, and nothing more comes. */
  #giveUp() {
    for (const { stream } of this.#speeches.values()) stream.finish(null);
  }

  /** @param {import("./link.js").LinkReport} report */
  #report(report) {
    if (report.state === "refused" || report.state === "unauthorized") this.#giveUp();
    this.#toPage({ type: "link", ...report });
  }

  #forgetOldest() {
    let samples = 0;
    for (const [index, [utterance, speech]] of [...this.#speeches].reverse().entries()) {
      samples += speech.stream.recording?.length ?? 0;
      if (!speech.stream.over || (samples <= MAX_KEPT_SAMPLES && index < MAX_KEPT)) continue;
      speech.close();
      this.#speeches.delete(utterance);
    }
  }
}
