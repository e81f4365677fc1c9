// @ts-check
/**
 * A Playout with its two lines: the Worker's port, over which speech comes and the heard position goes back, and the
 * page's, over which commands come and figures go back. Runs in the worklet, or on the page where there is none.
 */

import { Playout } from "./playout.js";
import { Tape } from "./tape.js";

/** @typedef {import("./messages.js").NetToSink} NetToSink */
/** @typedef {import("./messages.js").SinkToNet} SinkToNet */
/** @typedef {import("./messages.js").PageToSink} PageToSink */
/** @typedef {import("./messages.js").SinkToPage} SinkToPage */
/** @typedef {ConstructorParameters<typeof Playout>[0] & {record?: boolean}} SinkOptions */

const REPORT_MS = 50;
const HEARD_MS = 100;

export class Sink {
  #playout;
  #sampleRate;
  #post;
  #tape;
  /** @type {MessagePort | null} */
  #net = null;
  #frame = 0;
  #latency = 0;
  #nextReport = 0;
  #nextHeard = 0;
  #lastHeard = "";
  /** @type {{track: number, offset: number}[]} */
  #dry = [];
  /** @type {number[]} */
  #ended = [];
  #changed = false;
  /** The page shows a wait, which ends by itself. */
  #waiting = false;
  /** @type {import("./playout.js").State} as last reported */
  #state = "idle";

  /**
   * @param {SinkOptions} options
   * @param {(message: SinkToPage, transfer?: Transferable[]) => void} post to the page
   */
  constructor(options, post) {
    this.#playout = new Playout(options);
    this.#sampleRate = options.sampleRate;
    this.#post = post;
    this.#tape = options.record ? new Tape(options.sampleRate) : null;
  }

  /** @param {PageToSink} message */
  command(message) {
    switch (message.type) {
      case "port":
        this.#net = message.port;
        message.port.onmessage = ({ data }) => this.#receive(data);
        break;
      case "stop":
        this.#tape?.stops.push(this.#frame);
        this.#cut(message.track);
        break;
      case "pause":
        if (message.paused) this.#playout.pause();
        else this.#playout.resume();
        this.#nextReport = this.#nextHeard = 0;
        break;
      case "hurry":
        if (this.#playout.head) this.#playout.head.headstart.waived = true;
        break;
      case "latency":
        this.#latency = message.frames;
        return;
      case "tape": {
        const samples = this.#tape?.samples ?? new Float32Array(0);
        const { frame = 0, runs = [], stops = [] } = this.#tape ?? {};
        this.#post({ type: "tape", sampleRate: this.#sampleRate, frame, samples, runs, stops }, [samples.buffer]);
        break;
      }
    }
    this.#changed = true;
  }

  /** @param {NetToSink} message */
  #receive(message) {
    switch (message.type) {
      case "open":
        this.#playout.open(message.track);
        break;
      case "run":
        this.#playout.openRun(message.track);
        break;
      case "audio":
        this.#playout.push(message.track, message.samples);
        break;
      case "outlook":
        this.#playout.find(message.track)?.headstart.learn(message, this.#sampleRate);
        break;
      case "seam":
        this.#playout.find(message.track)?.mark(message.offset, message.length);
        break;
      case "end":
        this.#playout.end(message.track);
        break;
      case "splice":
        if (message.due) this.#playout.admitGap(message.track);
        this.#say({ type: "spliced", track: message.track, offset: this.#playout.truncate(message.track, message.offset, true) });
        break;
      case "truncate":
        this.#playout.truncate(message.track, message.offset);
        break;
    }
    this.#changed = true;
  }

  /** @param {number} track all up to this one were cut */
  #cut(track) {
    const { events, heard } = this.#playout;
    const earlier = events.length;
    this.#playout.cut(track);
    this.#say({ type: "cut", track, heard: events[earlier] ?? heard.at(Infinity) });
  }

  /** @param {SinkToNet} message */
  #say(message) {
    this.#net?.postMessage(message);
  }

  /**
   * Fills `out` with what sounds from `frame` on, and reports what is due.
   * @param {Float32Array} out
   * @param {number} frame
   */
  pull(out, frame) {
    this.#playout.pull(out, frame);
    this.#tape?.keep(out, frame, this.#playout.heard.runs);
    const end = (this.#frame = frame + out.length);
    for (const event of this.#playout.events) {
      this.#changed = true;
      this.#nextReport = 0;
      if (event.type === "start") this.#say({ type: "sounding", track: event.track });
      if (event.type === "dry") this.#dry.push({ track: event.track, offset: event.offset });
      if (event.type === "end") this.#ended.push(event.track);
    }
    this.#playout.events.length = 0;
    if (this.#playout.state !== this.#state) {
      this.#state = this.#playout.state;
      this.#changed = true;
      this.#nextReport = 0;
    }
    if (end >= this.#nextHeard) this.#reportHeard(end);
    const moving = this.#changed || this.#waiting || this.#playout.state === "playing";
    if (end >= this.#nextReport && moving) this.#report(end);
  }

  /** @param {number} frame */
  #reportHeard(frame) {
    this.#nextHeard = frame + (HEARD_MS * this.#sampleRate) / 1000;
    const { paused, heard, head } = this.#playout;
    // Paused before its first sound, an utterance stands at its beginning.
    const early = paused && head && !head.played ? { track: head.number, offset: 0 } : null;
    const { track, offset } = early ?? heard.at(frame - this.#latency);
    const key = `${track} ${offset} ${paused}`;
    if (track < 0 || key === this.#lastHeard) return;
    this.#lastHeard = key;
    this.#say({ type: "heard", track, offset, paused });
  }

  /** @param {import("./track.js").Track} head @param {number} frame */
  #waitOf(head, frame) {
    const begun = head.played + head.buffered > 0;
    return begun && head.headstart.stalled(frame - head.arrival) ? null : head.headstart.wait(head);
  }

  /** @param {number} frame */
  #report(frame) {
    const { state, paused, buffered, targetMs, underruns, heard, head } = this.#playout;
    const wait = (state === "buffering" && head && !head.complete && this.#waitOf(head, frame)) || null;
    const runs = heard.runs.slice(-4).map((run) => ({ ...run }));
    const dry = this.#dry.splice(0);
    const ended = this.#ended.splice(0);
    this.#post({ type: "position", frame, runs, state, paused, buffered, targetMs, wait, underruns, dry, ended });
    this.#changed = false;
    this.#waiting = wait !== null;
    this.#nextReport = frame + (REPORT_MS * this.#sampleRate) / 1000;
  }
}
