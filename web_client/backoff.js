// @ts-check
/** When to try again: the first time at once, then ever later, at random, so that a server that comes back is not run over. */

const FIRST_MS = 500;
const MAX_MS = 8_000;

export class Backoff {
  #random;
  #attempts = 0;

  /** @param {() => number} random 0 to 1 */
  constructor(random) {
    this.#random = random;
  }

  /**
   * @param {number} [leastMs] what the server has asked for
   * @returns {number} ms to wait: anything up to a ceiling that doubles ("full jitter")
   */
  next(leastMs = 0) {
    const attempt = this.#attempts++;
    const ceiling = attempt || leastMs ? Math.min(MAX_MS, FIRST_MS * 2 ** Math.max(0, attempt - 1)) : 0;
    return Math.round(leastMs + ceiling * this.#random());
  }

  /** A connection has held, or there is a reason to hope. */
  reset() {
    this.#attempts = 0;
  }
}
