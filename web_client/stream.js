// @ts-check
/** One utterance as it arrives: its sequence is checked, its payloads become samples, the samples go where they are due. */

import { Bookmark } from "./bookmark.js";
import { OpusRun } from "./opus.js";
import { Recording } from "./recording.js";
import { Timeline } from "./timeline.js";

/** @typedef {import("./outlook.js").Outlook} Outlook */
/** @typedef {import("./messages.js").UtteranceMessage} UtteranceMessage */
/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./messages.js").NetToSink} NetToSink */
/** @typedef {import("./messages.js").ResolvedFormat} ResolvedFormat */
/** @typedef {import("./messages.js").Audio} Audio */
/** @typedef {import("./messages.js").Done} Done */
/** @typedef {import("./timeline.js").Samples} Samples */

export class Stream {
  /** The next seq wanted: all before it has arrived. */
  received = 0;
  /** The server's answer to the latest start. @type {import("./messages.js").Started | null} */
  started = null;
  /** Ticks heard, as far as is known. */
  played = 0;
  /** `done` has arrived, or never will. */
  over = false;
  /** The listener has cut it off; what still comes is dropped. */
  cut = false;
  /** @type {Recording | null} */
  recording = null;
  /** Where speech is made more slowly than it is heard. @type {Outlook | null} */
  outlook;

  #utterance;
  #track;
  #tickRate;
  #sinkRate;
  #toPage;
  #toSink;
  #fail;
  /** @type {Timeline | null} */
  #timeline = null;
  /** @type {ResolvedFormat | null} */
  #format = null;
  /** @type {OpusRun | null} */
  #opus = null;
  #bookmark = new Bookmark();
  /** What went before what the server speaks now, when that is the rest of a text: code points, ticks. */
  #base = { text: 0, pts: 0 };
  /** What has arrived is dealt with in this order, although decoding takes its time. */
  #order = Promise.resolve();

  /**
   * @param {object} options
   * @param {string} options.utterance
   * @param {number} options.track
   * @param {number} options.tickRate Hz
   * @param {number} options.sinkRate Hz
   * @param {(message: NetToPage, transfer?: Transferable[]) => void} options.toPage
   * @param {(message: NetToSink, transfer?: Transferable[]) => void} options.toSink
   * @param {(code: string, message: string) => void} options.fail the stream cannot be played
   * @param {Outlook | null} [options.outlook] of a slow machine's speech
   */
  constructor({ utterance, track, tickRate, sinkRate, toPage, toSink, fail, outlook = null }) {
    this.#utterance = utterance;
    this.#track = track;
    this.#tickRate = tickRate;
    this.#sinkRate = sinkRate;
    this.#toPage = toPage;
    this.#toSink = toSink;
    this.#fail = fail;
    this.outlook = outlook;
    toSink({ type: "open", track });
  }

  /** Hz of the samples. */
  get sampleRate() {
    return this.#sinkRate;
  }

  /** Whether all of it has come, and was heard. */
  get isHeard() {
    return this.over && this.played >= (this.#timeline?.ticks ?? 0);
  }

  get track() {
    return this.#track;
  }

  /** @param {string} text that is to be spoken too */
  write(text) {
    this.outlook?.write(text, performance.now());
    this.#tellOutlook();
  }

  /** @param {UtteranceMessage} message in order, and none of them twice */
  receive(message) {
    if (this.over) return;
    switch (message.type) {
      case "started":
        if (message.audio.sample_rate !== this.#sinkRate) {
          return this.#fail("unsupported_format", `this browser plays ${this.#sinkRate} Hz, but speech comes at ${message.audio.sample_rate} Hz`);
        }
        this.started = message;
        this.#timeline ??= new Timeline({ tickRate: this.#tickRate, sampleRate: this.#sinkRate });
        this.recording ??= new Recording(this.#sinkRate);
        this.#toPage({ type: "started", utterance: this.#utterance, started: message });
        this.#openRun(message.audio);
        break;
      case "format":
        this.outlook?.rest();
        this.#openRun(message.audio);
        break;
      case "segment":
        this.#beginSegment(message);
        break;
      case "words":
        this.#learnWords(message.words);
        break;
      case "audio":
        this.received = message.seq + 1;
        this.outlook?.arrive(message.samples / this.#tickRate, performance.now());
        this.#decode({ ...message, pts: message.pts + this.#base.pts });
        this.#tellOutlook();
        break;
      case "done":
        this.received = message.seq + 1;
        this.finish(message);
        break;
    }
  }

  /**
   * @param {number} offset samples heard
   * @returns {number} ticks heard
   */
  heard(offset) {
    this.played = Math.max(this.played, this.#timeline?.ticksAt(offset) ?? 0);
    return this.played;
  }

  /**
   * The same, in what the server speaks now.
   * @returns {number} ticks
   */
  get playedNow() {
    return Math.max(0, this.played - this.#base.pts);
  }

  /**
   * The utterance ends: by its `done`, or without one when it is given up.
   * @param {Pick<Done, "reason" | "spoken"> | null} done
   */
  finish(done) {
    if (this.over) return;
    this.over = true;
    const { text, pts } = this.#base;
    const spoken = done?.spoken ? { text_end: done.spoken.text_end + text, pts: done.spoken.pts + pts } : undefined;
    this.#enqueue(() => {
      const offset = spoken && this.#timeline ? this.#timeline.offsetAt(spoken.pts) : null;
      if (offset === null) this.#toSink({ type: "end", track: this.#track });
      else this.#toSink({ type: "truncate", track: this.#track, offset });
      this.#toPage({
        type: "done", utterance: this.#utterance, reason: done?.reason ?? "lost",
        ticks: this.#timeline?.ticks ?? 0, spoken,
      });
      this.#opus?.close();
    });
  }

  /**
   * The server speaks it no more: it is to go on, from the first word that has not all come, in another utterance there.
   * @param {string[]} points the text
   * @param {(place: {offset: number, due: boolean}) => Promise<number>} splice drops sound; resolves to where it was cut
   * @returns {Promise<number>} where in the text that is, in code points
   */
  async rewind(points, splice) {
    this.received = 0;
    await this.#order;
    const timeline = this.#timeline;
    if (!timeline || this.over || this.cut) return this.#base.text;
    const { text, pts } = this.#bookmark.at(timeline.ticks, points);
    timeline.splice(await splice({ offset: timeline.offsetAt(pts), due: text < points.length }));
    this.recording?.truncate(timeline.length);
    this.#bookmark.settle(text);
    this.#base = { text, pts: timeline.ticks };
    this.outlook?.rest();
    this.#toPage({
      type: "restarted", utterance: this.#utterance, text_start: text, ticks: timeline.ticks, length: timeline.length,
      bins: this.recording?.bins ?? 0,
    });
    return text;
  }

  /** @param {import("./messages.js").Segment} message */
  #beginSegment(message) {
    const { text, pts } = this.#base;
    const segment = {
      ...message, utterance: this.#utterance, text_start: message.text_start + text, text_end: message.text_end + text,
      pts: message.pts + pts,
    };
    this.#bookmark.addSegment(segment);
    this.#toPage(segment);
    this.#foresee(segment);
  }

  /** @param {import("./messages.js").Word[]} told */
  #learnWords(told) {
    const { text, pts } = this.#base;
    /** @type {import("./messages.js").Word[]} */
    const words = told.map(([start, end, from, to]) => [start + text, end + text, from + pts, to + pts]);
    for (const [, end, , ptsEnd] of words) this.outlook?.reach(end, ptsEnd / this.#tickRate);
    this.#bookmark.addWords(words);
    this.#toPage({ type: "words", utterance: this.#utterance, words });
  }

  /** A clause begins after what has come. @param {{text_start: number, text_end: number, pts: number}} segment */
  #foresee({ text_start: start, text_end: end, pts }) {
    const { outlook } = this;
    if (!outlook) return;
    const length = Math.round(outlook.begin(start, end, pts / this.#tickRate) * this.#sinkRate);
    this.#enqueue(() => {
      this.#toSink({ type: "seam", track: this.#track, offset: this.#timeline?.offsetAt(pts) ?? 0, length });
    });
  }

  #tellOutlook() {
    if (!this.outlook || this.over) return;
    const { seconds, rtf, pace, unspoken } = this.outlook;
    this.#toSink({ type: "outlook", track: this.#track, length: Math.round(seconds * this.#sinkRate), rtf, pace, unspoken });
  }

  /** @param {ResolvedFormat} format */
  #openRun(format) {
    const finished = this.#opus;
    this.#format = format;
    this.#opus = format.codec === "opus" ? new OpusRun(format.frame_ms) : null;
    this.#enqueue(() => {
      finished?.close();
      const mark = this.#timeline?.open(format.pre_skip);
      if (!mark) return;
      this.#toSink({ type: "run", track: this.#track });
      this.#toPage({ type: "run", utterance: this.#utterance, ...mark });
    });
  }

  /** @param {Audio} message */
  #decode(message) {
    const samples = message.packets ? this.#opus?.decode(message.packets) : this.#pcm(message.data);
    if (!samples) {
      return this.#fail("bad_message", `expected audio as ${this.#format?.codec}, got another kind of payload`);
    }
    /** @type {Promise<Samples>} */
    const decoded = Promise.resolve(samples);
    decoded.catch(() => {}); // awaited, and its failure told, in its turn
    this.#enqueue(async () => this.#deliver(message, await decoded));
  }

  /**
   * @param {Uint8Array<ArrayBuffer> | undefined} data a view into the message, at any offset
   * @returns {Samples | undefined} a copy, aligned and free to be transferred
   */
  #pcm(data) {
    const codec = this.#format?.codec;
    if (codec === "pcm_s16le" && data && data.length % 2 === 0) return new Int16Array(data.slice().buffer);
    if (codec === "pcm_f32le" && data && data.length % 4 === 0) return new Float32Array(data.slice().buffer);
    return undefined;
  }

  /**
   * @param {Audio} message
   * @param {Samples} payload
   */
  #deliver({ pts, samples: ticks }, payload) {
    const timeline = this.#timeline;
    if (!timeline || this.cut) return;
    if (pts !== timeline.ticks) return this.#fail("bad_message", `expected audio from tick ${timeline.ticks}, got ${pts}`);
    const samples = timeline.push(ticks, payload);
    const peaks = this.recording?.push(samples) ?? new Int8Array(0);
    this.#toPage({ type: "audio", utterance: this.#utterance, ticks: timeline.ticks, length: timeline.length, peaks });
    this.#toSink({ type: "audio", track: this.#track, samples }, [samples.buffer]);
  }

  /** @param {() => void | Promise<void>} step */
  #enqueue(step) {
    this.#order = this.#order.then(step).catch((reason) => {
      this.#fail("unsupported_format", `speech could not be decoded: ${reason instanceof Error ? reason.message : reason}`);
    });
  }
}
