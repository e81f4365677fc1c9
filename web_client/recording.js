// @ts-check
/** What was received of one utterance: the samples, for the download, and their outline, for the picture. */

/** @typedef {import("./timeline.js").Samples} Samples */

/** Samples of the outline: two numbers, lowest and highest in -127..127, for each this many ms. */
export const PEAK_MS = 10;

export class Recording {
  /** @type {Int16Array[]} */
  chunks = [];
  /** Samples kept. */
  length = 0;

  #bin;
  #filled = 0;
  #low = 0;
  #high = 0;

  /** @param {number} sampleRate Hz */
  constructor(sampleRate) {
    this.#bin = Math.round((sampleRate * PEAK_MS) / 1000);
  }

  /** Whole bins of the outline. */
  get bins() {
    return Math.floor(this.length / this.#bin);
  }

  /** @param {number} length samples that stay; the outline's whole bins within them do, too */
  truncate(length) {
    let left = (this.length = Math.min(this.length, length));
    this.chunks = this.chunks.flatMap((chunk) => {
      const kept = chunk.subarray(0, left);
      left -= kept.length;
      return kept.length ? [kept] : [];
    });
    this.#filled = this.#low = this.#high = 0;
    let toFind = this.length % this.#bin;
    for (const chunk of [...this.chunks].reverse()) {
      const part = chunk.subarray(Math.max(0, chunk.length - toFind));
      toFind -= part.length;
      for (const sample of part) this.#add(sample);
      if (!toFind) break;
    }
  }

  /** @param {number} sample */
  #add(sample) {
    if (sample < this.#low) this.#low = sample;
    if (sample > this.#high) this.#high = sample;
    this.#filled += 1;
  }

  /**
   * @param {Samples} samples
   * @returns {Int8Array<ArrayBuffer>} the outline of the 10 ms bins that these complete
   */
  push(samples) {
    const kept = samples instanceof Int16Array ? samples.slice() : Int16Array.from(samples, toInt16);
    this.chunks.push(kept);
    this.length += kept.length;
    const peaks = [];
    for (const sample of kept) {
      this.#add(sample);
      if (this.#filled === this.#bin) {
        peaks.push(this.#low >> 8, this.#high >> 8);
        this.#filled = this.#low = this.#high = 0;
      }
    }
    return Int8Array.from(peaks);
  }
}

/** @param {number} value in -1..1 */
function toInt16(value) {
  return Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
}
