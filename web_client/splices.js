// @ts-check
/** Requests to the playing thread to drop sound that other sound will take the place of, until it has said where. */

/** A playing thread that is gone, or stands still, does not answer. */
const ANSWER_MS = 500;

/** @typedef {{track: number, resolve: (offset: number) => void}} Waiting */

export class Splices {
  /** @type {Set<Waiting>} */
  #waiting = new Set();

  /**
   * @param {MessagePort | null} sink
   * @param {number} track
   * @param {{offset: number, due: boolean}} place samples that may stay, and whether others are due after them
   * @returns {Promise<number>} where the sound was cut: there or, if that has sounded already, later
   */
  ask(sink, track, { offset, due }) {
    if (!sink) return Promise.resolve(offset);
    return new Promise((resolve) => {
      const waiting = { track, resolve };
      this.#waiting.add(waiting);
      setTimeout(() => this.#settle(waiting, offset), ANSWER_MS);
      /** @type {import("./messages.js").NetToSink} */
      const message = { type: "splice", track, offset, due };
      sink.postMessage(message);
    });
  }

  /** @param {{track: number, offset: number}} answer */
  answer({ track, offset }) {
    const waiting = [...this.#waiting].find((one) => one.track === track);
    if (waiting) this.#settle(waiting, offset);
  }

  /** @param {Waiting} waiting @param {number} offset */
  #settle(waiting, offset) {
    this.#waiting.delete(waiting);
    waiting.resolve(offset);
  }
}
