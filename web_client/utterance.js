// @ts-check
/** The page's view of one utterance: its text, its sound as far as it has come, and where the ear is in it. */

import { Captions } from "./captions.js";
import { ticksAt } from "./timeline.js";

/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./timeline.js").Mark} Mark */
/** @typedef {import("./messages.js").Done["reason"] | "lost"} Reason */

export class Utterance {
  captions = new Captions();
  /** No more text comes. */
  ended = false;
  /** @type {Reason | null} why the server has finished with it */
  reason = null;
  /** It has sounded to its end, or was cut off. */
  over = false;
  /** Ticks that were heard when it was cut off; null if it was not. @type {number | null} */
  cutTicks = null;
  /** Ticks received. */
  ticks = 0;
  /** Samples received. */
  length = 0;
  /** @type {Int8Array[]} lowest and highest of each 10 ms, in pieces as received */
  outline = [];
  /** @type {number[]} samples at which the buffer ran dry */
  gaps = [];
  /** Times that it had to go on in another session. */
  restarts = 0;
  language = "";
  /** @type {number | null} ms */
  firstAudioMs = null;
  /** @type {number | null} ms */
  firstSoundMs = null;

  /** @type {Mark[]} */
  #marks = [];
  #ticksPerSample;

  /**
   * @param {string} id
   * @param {number} track
   * @param {number} ticksPerSample
   */
  constructor(id, track, ticksPerSample) {
    this.id = id;
    this.track = track;
    this.#ticksPerSample = ticksPerSample;
  }

  /** @param {NetToPage} message of this utterance */
  receive(message) {
    switch (message.type) {
      case "started":
        this.language = message.started.language;
        break;
      case "run":
        this.#marks.push({ pts: message.pts, offset: message.offset });
        break;
      case "segment":
        this.captions.addSegment(message);
        break;
      case "words":
        this.captions.addWords(message.words);
        break;
      case "audio":
        this.ticks = message.ticks;
        this.length = message.length;
        this.outline.push(message.peaks);
        break;
      case "restarted":
        this.restarts += 1;
        this.captions.forget(message.text_start);
        this.ticks = message.ticks;
        this.length = message.length;
        this.#marks = this.#marks.filter(({ offset }) => offset <= message.length);
        this.outline = trimmed(this.outline, 2 * message.bins);
        break;
      case "figure":
        this.firstAudioMs = message.firstAudioMs ?? this.firstAudioMs;
        this.firstSoundMs = message.firstSoundMs ?? this.firstSoundMs;
        break;
      case "done":
        this.reason = message.reason;
        this.ended = true;
        if (message.spoken) this.cutTicks = message.spoken.pts;
        if (!this.length) this.over = true;
        break;
    }
  }

  /** Whether sound is wanting for some of its text, now that no more comes. */
  get missing() {
    if (this.reason === "lost") return !this.captions.spokenBy(this.ticks);
    return this.reason === "error";
  }

  /**
   * @param {number} offset samples heard
   * @returns {number} ticks heard
   */
  ticksAt(offset) {
    return ticksAt(this.#marks, offset, this.ticks, this.#ticksPerSample);
  }
}

/**
 * @param {Int8Array[]} pieces
 * @param {number} length numbers that stay
 * @returns {Int8Array[]}
 */
function trimmed(pieces, length) {
  let left = length;
  return pieces.flatMap((piece) => {
    const kept = piece.subarray(0, left);
    left -= kept.length;
    return kept.length ? [kept] : [];
  });
}
