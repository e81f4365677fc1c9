// @ts-check
/**
 * One utterance, both directions, over as many sessions as it takes: its text goes out when it may, and what is lacking
 * of it when a session was lost is asked for in the next one, in the same voice.
 */

import { Outbox } from "./outbox.js";
import { Playhead } from "./playhead.js";

/** @typedef {import("./link.js").Link} Link */
/** @typedef {import("./messages.js").Start} Start */
/** @typedef {import("./stream.js").Stream} Stream */

export class Speech {
  /** Its id on the wire: another one in each session. */
  wire;
  /** When the first clause's last text left. */
  clauseAt = 0;
  /** The server has taken its start, in this session. */
  accepted = false;
  /** The server cannot end it: it is to be started anew. */
  brokenOff = false;

  #link;
  #start;
  #hooks;
  #outbox;
  /** @type {Playhead} */
  #playhead;
  #num = 0;
  /** The session in which its start was sent; 0 if that is still to be done. */
  #session = 0;
  /** Where it goes on is being found out. */
  #held = false;
  #cancelled = false;
  #endAsked = false;
  #endSent = false;
  #timer = 0;
  /** When the text up to a code point left; until the first audio. @type {{upTo: number, at: number}[]} */
  #sentAt = [];

  /**
   * @param {object} options
   * @param {Start} options.start its id is the page's
   * @param {Stream} options.stream
   * @param {Link} options.link
   * @param {import("./messages.js").Limits} [options.limits]
   * @param {object} options.hooks
   * @param {(id: string) => Speech | undefined} options.hooks.find another one, by the page's id
   * @param {() => boolean} options.hooks.hasRoom whether the session takes one more
   * @param {(track: number, place: {offset: number, due: boolean}) => Promise<number>} options.hooks.splice drops what waits to be played
   */
  constructor({ start, stream, link, limits, hooks }) {
    this.wire = this.id = start.utterance;
    this.stream = stream;
    this.#start = start;
    this.#link = link;
    this.#hooks = hooks;
    this.#outbox = new Outbox(limits);
    this.#playhead = this.#newPlayhead();
  }

  /** Whether the session that there is knows it. */
  get isKnown() {
    return this.#session !== 0 && this.#session === this.#link.session;
  }

  /** @param {string} text that is to be spoken too */
  write(text) {
    if (this.stream.over) return;
    // An empty text tells the server that the writer has not paused; what waits here tells as much when it leaves.
    const stirs = !text && !this.#outbox.length && !this.stream.cut && this.isKnown && this.#link.ready;
    if (stirs) this.#link.send({ type: "text", utterance: this.wire, text });
    this.#outbox.push(text);
    this.stream.write(text);
    this.pump();
  }

  /** No more text comes. */
  end() {
    this.#endAsked = true;
    this.pump();
  }

  /** Sends what may be sent: the start, text, and the end after the last of it. */
  pump() {
    clearTimeout(this.#timer);
    if (this.stream.over || this.stream.cut || this.#cancelled || this.#held || !this.#link.ready) return;
    if (!this.#session && !this.#begin()) return;
    if (!this.isKnown) return;
    const { text, waitMs } = this.#outbox.take(performance.now());
    if (text) {
      this.#link.send({ type: "text", utterance: this.wire, text });
      if (!this.stream.received && !this.#num) this.#sentAt.push({ upTo: this.#outbox.sent, at: performance.now() });
    }
    if (Number.isFinite(waitMs)) this.#timer = setTimeout(() => this.pump(), waitMs);
    if (this.#endAsked && !this.#endSent && !this.#outbox.length) {
      this.#endSent = true;
      this.#link.send({ type: "end", utterance: this.wire });
    }
  }

  /** @param {"now" | "word"} at */
  cancel(at) {
    clearTimeout(this.#timer);
    if (this.stream.over) return;
    this.#cancelled = true;
    if (this.#session) this.#link.send({ type: "cancel", utterance: this.wire, at, played: this.stream.playedNow });
    else if (!this.#held) this.#finishCancelled();
  }

  /** @param {import("./messages.js").Segment} segment */
  segment({ text_end: end }) {
    const upTo = this.#outbox.from + end;
    if (!this.#num) this.clauseAt ||= this.#sentAt.find((sent) => sent.upTo >= upTo)?.at ?? 0;
    this.#outbox.spoken = upTo;
    this.pump();
  }

  /**
   * @param {number} offset samples that the ear has had
   * @param {boolean} paused
   */
  heard(offset, paused) {
    this.stream.heard(offset);
    this.#playhead.update({ played: this.stream.playedNow, paused });
  }

  /** More has come. */
  received() {
    this.#playhead.update({ received: this.stream.received });
  }

  /** Whether it is to be started again rather than given up, where its start was refused for want of room. */
  get isRest() {
    return this.#num > 0;
  }

  /** There is a connection again, and its session is the one that there was. */
  resume() {
    if (this.isKnown && !this.stream.isHeard) this.#playhead.repeat();
    this.pump();
  }

  /** The server has ended it before its time, and goes away. */
  hold() {
    this.#held = true;
  }

  /** Its start was refused, for now. @param {number} ms until it may be tried again */
  postpone(ms) {
    this.#renew();
    this.#outbox.rewind(this.#outbox.from);
    this.#timer = setTimeout(() => this.pump(), ms);
  }

  /** The server knows it no more, and will say nothing further of it. */
  async restart() {
    if (this.stream.over || !this.#session) return this.pump();
    this.#held = true;
    this.#renew();
    const { track } = this.stream;
    const from = await this.stream.rewind(this.#outbox.points, (place) => this.#hooks.splice(track, place));
    this.#held = false;
    this.#outbox.rewind(from);
    if (this.#cancelled || this.stream.cut) return this.#finishCancelled();
    return this.pump();
  }

  /** Nothing more is sent or told. */
  close() {
    clearTimeout(this.#timer);
    this.#playhead.close();
  }

  /**
   * Opens it in this session.
   * @returns {boolean} whether that was done; a rest is asked for only when there is one
   */
  #begin() {
    if (this.#link.draining || !this.#hooks.hasRoom()) return false;
    if (this.#num && !this.#outbox.length) {
      if (this.#endAsked) this.stream.finish({ reason: "end" });
      return false;
    }
    const { voice, seed, params } = this.stream.started ?? {};
    const said = voice === undefined ? {} : { voice, seed, params };
    const before = this.#start.after === undefined ? undefined : this.#hooks.find(this.#start.after);
    const after = before?.isKnown ? before.wire : undefined;
    this.#session = this.#link.session;
    this.#link.send({ ...this.#start, ...said, utterance: this.wire, after });
    return true;
  }

  /** It is to be started under another id. */
  #renew() {
    this.close();
    this.#session = 0;
    this.accepted = this.brokenOff = this.#endSent = false;
    this.#num += 1;
    this.wire = `${this.#start.utterance}.${this.#num}`;
    this.#playhead = this.#newPlayhead();
  }

  /** It was stopped, and the session that was to say where is gone: what has come is what was said. */
  #finishCancelled() {
    this.stream.finish({ reason: "cancelled", spoken: this.stream.cut ? undefined : { text_end: 0, pts: 0 } });
  }

  #newPlayhead() {
    return new Playhead((progress) => {
      if (this.isKnown) this.#link.send({ type: "playhead", utterance: this.wire, ...progress });
    });
  }
}
