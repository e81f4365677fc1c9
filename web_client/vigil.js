// @ts-check
/** Notices by itself that nothing comes any more over a connection that nobody has closed. Pure. */

/** Of silence, before the server is asked whether it is there: while something is due, and while nothing is. */
const EXPECTING_MS = 2_000;
const IDLE_MS = 20_000;
/** For the answer. */
const ANSWER_MS = 2_000;

export class Vigil {
  #heardAt;
  #askedAt = NaN;
  #doubted = false;

  /** @param {number} nowMs */
  constructor(nowMs) {
    this.#heardAt = nowMs;
  }

  /** @param {number} nowMs something has come */
  heard(nowMs) {
    this.#heardAt = nowMs;
    this.#askedAt = NaN;
    this.#doubted = false;
  }

  /** The network may have changed: the server is asked at the next look. */
  doubt() {
    this.#doubted = true;
  }

  /**
   * @param {number} nowMs
   * @param {boolean} expecting whether speech is under way
   * @returns {"fine" | "ask" | "lost"}
   */
  look(nowMs, expecting) {
    if (!Number.isNaN(this.#askedAt)) return nowMs - this.#askedAt < ANSWER_MS ? "fine" : "lost";
    const patience = this.#doubted ? 0 : expecting ? EXPECTING_MS : IDLE_MS;
    if (nowMs - this.#heardAt < patience) return "fine";
    this.#askedAt = nowMs;
    return "ask";
  }
}
