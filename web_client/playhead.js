// @ts-check
/** Tells the server what was heard and what arrived of one utterance: on change, at most ten times a second. */

/** @typedef {{played?: number, received?: number, paused?: boolean}} Progress */

const INTERVAL_MS = 100;

export class Playhead {
  #send;
  #now;
  /** @type {Progress} */
  #sent = {};
  /** @type {Progress} */
  #latest = {};
  #lastMs = -Infinity;
  #timer = 0;

  /**
   * @param {(progress: Progress) => void} send
   * @param {() => number} [now] ms
   */
  constructor(send, now = () => performance.now()) {
    this.#send = send;
    this.#now = now;
  }

  /** @param {Progress} progress what is known anew */
  update(progress) {
    this.#latest = { ...this.#latest, ...progress };
    const { played, received, paused } = this.#latest;
    const sent = this.#sent;
    if (this.#timer || (played === sent.played && received === sent.received && paused === sent.paused)) return;
    const wait = this.#lastMs + INTERVAL_MS - this.#now();
    if (wait > 0) this.#timer = setTimeout(() => this.#flush(), wait);
    else this.#flush();
  }

  #flush() {
    this.#timer = 0;
    this.#lastMs = this.#now();
    this.#sent = this.#latest;
    this.#send(this.#latest);
  }

  /** Tells once more what is known: on another connection. */
  repeat() {
    if (!Object.keys(this.#latest).length) return;
    this.#sent = {};
    this.update({});
  }

  /** Sends nothing more. */
  close() {
    clearTimeout(this.#timer);
    this.#timer = -1;
  }
}
