// @ts-check
/** One utterance's samples on their way to the ear: a queue with a place to stop. */

import { Headstart } from "./headstart.js";

/** @typedef {import("./timeline.js").Samples} Samples */

export class Track {
  /** Samples taken so far: the next one's place in the stream. */
  played = 0;
  /** Samples waiting. */
  buffered = 0;
  /** Nothing more comes. */
  complete = false;
  /** Earliest (arrival frame - stream sample) seen while little was buffered. */
  best = Infinity;
  /** Frame of the last arrival. */
  arrival = 0;
  /** @type {{base: number, rtf: number, frame: number} | null} ran dry at the frame; what was believed before */
  dried = null;

  headstart = new Headstart();

  /** @type {Samples[]} */
  #chunks = [];
  #head = 0;
  #stop = Infinity;
  #stopFade = 0;
  /** @type {{offset: number, length: number}[]} where clauses begin, and how long each will be; those ahead */
  #seams = [];

  /** @param {number} number */
  constructor(number) {
    this.number = number;
  }

  /** Samples that may be taken now. */
  get available() {
    const end = Math.min(this.#stop, this.#seams[0]?.offset ?? Infinity);
    return Math.min(this.buffered, Math.max(0, end - this.played));
  }

  /**
   * A clause begins: if it cannot be heard to its end without a gap, the wait for it is better before than in it.
   * @param {number} offset its first sample's place in the stream
   * @param {number} length samples that it will take
   */
  mark(offset, length) {
    const former = this.#seams[this.#seams.length - 1];
    if (former) former.length = offset - former.offset;
    if (offset > this.played) this.#seams.push({ offset, length });
  }

  /** Whether a clause begins here. */
  get seam() {
    return (this.#seams[0]?.offset ?? Infinity) <= this.played && this.played < this.#stop;
  }

  /** Whether the clause that begins here cannot be heard to its end yet. */
  get seamWaits() {
    return !this.complete && this.buffered < this.headstart.wantedOfClause(this.#seams[0].length);
  }

  passSeam() {
    this.#seams.shift();
  }

  /** @param {Samples} samples */
  push(samples) {
    this.#chunks.push(samples);
    this.buffered += samples.length;
  }

  /**
   * Ends the track at a stream sample, or where it is if that has been taken.
   * @param {number} offset
   * @param {number} fade samples over which to fade before it
   * @returns {number} where it ends
   */
  stopAt(offset, fade) {
    this.#stop = Math.max(offset, this.played);
    this.#stopFade = Math.min(fade, this.#stop - this.played);
    this.complete = true;
    return this.#stop;
  }

  /**
   * Drops what waits from a stream sample on, or from where it is; other sound will follow.
   * @param {number} offset
   * @param {number} fade samples over which to fade before it
   * @returns {number} where it was cut
   */
  splice(offset, fade) {
    const end = Math.min(this.played + this.buffered, Math.max(offset, this.played));
    let left = (this.buffered = end - this.played);
    this.#chunks = this.#chunks.flatMap((chunk, index) => {
      const kept = /** @type {Samples} */ (chunk.subarray(index ? 0 : this.#head).slice(0, left));
      left -= kept.length;
      return kept.length ? [kept] : [];
    });
    this.#head = 0;
    fadeOut(this.#chunks, fade);
    this.#seams = this.#seams.filter((seam) => seam.offset < end);
    return end;
  }

  /**
   * @param {Float32Array} out filled with the next samples; no longer than `available`
   */
  take(out) {
    const from = this.played;
    for (let at = 0; at < out.length; ) {
      const chunk = this.#chunks[0];
      const count = Math.min(out.length - at, chunk.length - this.#head);
      const scale = chunk instanceof Int16Array ? 1 / 32768 : 1;
      for (let index = 0; index < count; index++) out[at + index] = chunk[this.#head + index] * scale;
      at += count;
      this.#head += count;
      if (this.#head === chunk.length) {
        this.#chunks.shift();
        this.#head = 0;
      }
    }
    this.played += out.length;
    this.buffered -= out.length;
    for (let index = Math.max(0, this.#stop - this.#stopFade - from); index < out.length; index++) {
      out[index] *= (this.#stop - (from + index) - 1) / this.#stopFade;
    }
  }
}

/**
 * @param {Samples[]} chunks whose last samples get softer, down to nothing
 * @param {number} length of the fade
 */
function fadeOut(chunks, length) {
  let at = 0;
  for (const chunk of [...chunks].reverse()) {
    for (let index = chunk.length - 1; index >= 0 && at < length; index--) chunk[index] *= at++ / length;
  }
}
