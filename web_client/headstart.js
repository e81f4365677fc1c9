// @ts-check
/**
 * How much of an utterance must wait before it may sound, where it is made more slowly than it is heard. Pure.
 *
 * Made at `rtf` seconds a second, a rest of L samples of which B are here sounds without a gap if what is still to be
 * made is ready before the rest has sounded: rtf x (L - B) <= L, or B >= (rtf - 1) x (L - B). How long it will be, and how
 * fast it is made, are guesses (outlook.js), hence a margin on what is still to be made, and a little more.
 */

const MARGIN = 1.2;
const SPARE_MS = 400;
/** Nobody waits for more, and no server makes much more ahead of a listener: a longer speech will have to wait again. */
const MAX_BUFFER_MS = 240_000;
const PATCH_MS = 160;
/**
 * Nothing has come for so long, in ms and in patches' time: waiting on is of no use. The model needs up to twenty patches' time
 * to begin a clause; what of the text is not spoken yet may also never be (a block of code, a mark).
 */
const STALL = { ms: 3000, patches: 25 };
const STALL_UNSPOKEN = { ms: 10_000, patches: 60 };

/** @typedef {{ms: number, share: number}} Wait about how long it still takes, and how much of what must wait is there, 0 to 1 */
/**
 * @typedef {object} Prospect
 * @property {number} length samples of the whole utterance
 * @property {number} rtf seconds of work for a second of the speech that is still to be made
 * @property {number} [pace] the same inside a clause
 * @property {boolean} [unspoken] whether text was given that is not known to sound in what has come
 */

export class Headstart {
  /** The listener does not want to wait: nothing is held back until it runs dry. */
  waived = false;

  /** @type {Required<Prospect>} */
  #prospect = { length: 0, rtf: 0, pace: 0, unspoken: false };
  #rate = 0;

  /**
   * @param {Prospect} prospect
   * @param {number} sampleRate Hz
   */
  learn({ length, rtf, pace = rtf, unspoken = false }, sampleRate) {
    this.#prospect = { length, rtf, pace, unspoken };
    this.#rate = sampleRate;
  }

  /** Whether the utterance is made more slowly than it is heard. */
  get slow() {
    return this.#prospect.rtf > 1;
  }

  /**
   * @param {number} rest samples of a clause that has begun, to sound without a gap
   * @returns {number} how many of them must be buffered
   */
  wantedOfClause(rest) {
    return this.#wanted(rest, this.#prospect.pace);
  }

  /**
   * @param {{played: number, buffered: number}} track samples
   * @returns {Wait | null} null: there is enough for all the rest
   */
  wait({ played, buffered }) {
    const { length, rtf } = this.#prospect;
    const wanted = this.#wanted(length - played, rtf);
    if (buffered >= wanted) return null;
    return { ms: (1000 * rtf * (wanted - buffered)) / this.#rate, share: buffered / wanted };
  }

  /** @param {number} since samples' time since the last arrival */
  stalled(since) {
    const { pace, unspoken } = this.#prospect;
    const { ms, patches } = unspoken ? STALL_UNSPOKEN : STALL;
    return since >= this.#samples(Math.max(ms, patches * PATCH_MS * pace));
  }

  /**
   * @param {number} rest samples that are to sound without a gap
   * @param {number} rtf at which they are made
   * @returns {number} how many of them must be buffered
   */
  #wanted(rest, rtf) {
    if (rtf <= 1 || this.waived || rest <= 0) return 0;
    const slowness = MARGIN * (rtf - 1);
    const enough = (rest * slowness) / (1 + slowness) + this.#samples(SPARE_MS);
    return Math.min(rest, enough, this.#samples(MAX_BUFFER_MS));
  }

  /** @param {number} ms */
  #samples(ms) {
    return (ms * this.#rate) / 1000;
  }
}
