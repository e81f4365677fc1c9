// @ts-check
/** Records what sounded, for tests (`?record=1`): the last stretch of time, sample by sample, and the run map. */

/** @typedef {import("./heard.js").Run} Run */

const SECONDS = 120;

export class Tape {
  /** @type {Run[]} */
  runs = [];
  /** @type {number[]} frames at which a stop was asked for */
  stops = [];
  /** Frame of the first sample kept. */
  frame = 0;

  #samples;
  #length = 0;
  /** Samples by which the tape is ahead of the frame count: a busy browser may render two quanta under one number. */
  #ahead = 0;

  /** @param {number} sampleRate Hz */
  constructor(sampleRate) {
    this.#samples = new Float32Array(SECONDS * sampleRate);
  }

  /**
   * Keeps what was put out at `frame`; nothing is written over. Silence before the first sound is left out, and what no
   * longer fits.
   * @param {Float32Array} out
   * @param {number} frame
   * @param {Run[]} runs the account so far
   */
  keep(out, frame, runs) {
    if (!this.#length) {
      if (!runs.length) return;
      this.frame = frame;
    }
    this.#ahead = Math.max(this.#ahead, this.#length - (frame - this.frame));
    const at = frame - this.frame + this.#ahead;
    if (at + out.length > this.#samples.length) return;
    this.#samples.set(out, at);
    this.#length = at + out.length;
    for (const run of runs.slice(-4)) {
      const known = this.runs.findLast(({ track, offset }) => track === run.track && offset === run.offset);
      if (known) known.length = run.length;
      else this.runs.push({ ...run, frame: run.frame + this.#ahead });
    }
  }

  get samples() {
    return this.#samples.slice(0, this.#length);
  }
}
