// @ts-check
/**
 * Text on its way to the server, cut and paced to the limits that `ready` tells, so that a pasted book is no error.
 * One utterance's; pure, the clock is the caller's.
 */

/** @typedef {import("./messages.js").Limits} Limits */

/** Share of a limit that is used: both sides count, at slightly different times. */
const MARGIN = 0.8;
/** Code points in one message: at four bytes each they stay under the 64 KiB of a message. */
const MAX_DELTA = 8000;
const POLL_MS = 50;

export class Outbox {
  /** Where the handing out has begun: after a `rewind` not at the beginning. */
  from = 0;
  /** Code points up to which it was handed out. */
  sent = 0;
  /** Code points that the server has begun to speak. */
  spoken = 0;

  /** @type {string[]} code points, all of them */
  #points = [];
  #charsPerMs;
  #pending;
  #allowance;
  #time = -Infinity;

  /** @param {Limits} [limits] */
  constructor({ chars_per_s: charsPerS = 5000, pending_chars: pending = 50_000 } = {}) {
    this.#charsPerMs = (MARGIN * charsPerS) / 1000;
    this.#pending = MARGIN * pending;
    this.#allowance = 0;
  }

  /** Code points that wait. */
  get length() {
    return this.#points.length - this.sent;
  }

  /** @param {string} text */
  push(text) {
    for (const point of text) this.#points.push(point);
  }

  /** @param {number} point from which the text is to be handed out again */
  rewind(point) {
    this.from = this.sent = this.spoken = point;
  }

  /** All the text. */
  get points() {
    return this.#points;
  }

  /**
   * @param {number} nowMs
   * @returns {{text: string, waitMs: number}} what may be sent now, and when to ask again (Infinity: when `spoken` grows)
   */
  take(nowMs) {
    const second = 1000 * this.#charsPerMs;
    this.#allowance = Math.min(second, this.#allowance + (nowMs - this.#time) * this.#charsPerMs);
    this.#time = nowMs;
    const room = Math.floor(this.#pending - (this.sent - this.spoken));
    const count = Math.max(0, Math.min(this.length, MAX_DELTA, Math.floor(this.#allowance), room));
    const text = this.#points.slice(this.sent, this.sent + count).join("");
    this.sent += count;
    this.#allowance -= count;
    const blocked = !this.length || count >= room;
    return { text, waitMs: blocked ? Infinity : POLL_MS };
  }
}
