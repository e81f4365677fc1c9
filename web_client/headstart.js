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
/** Nobody waits for more, and no page holds much more: a longer speech will have to wait again. */
const MAX_BUFFER_MS = 600_000;
/** Nothing has come for so long, and in so much work (eight patches): the writer waits, so it is no use to wait on. */
const STALL_MS = 3000;
const STALL_SPEECH_MS = 1280;

/** @typedef {{ms: number, share: number}} Wait about how long it still takes, and how much of what must wait is there, 0 to 1 */

export class Headstart {
  /** The listener does not want to wait: nothing is held back until it runs dry. */
  waived = false;

  #length = 0;
  #rtf = 0;
  #rate = 0;

  /**
   * @param {object} outlook
   * @param {number} outlook.length samples of the whole utterance
   * @param {number} outlook.rtf seconds of work for a second of speech
   * @param {number} sampleRate Hz
   */
  learn({ length, rtf }, sampleRate) {
    this.#length = length;
    this.#rtf = rtf;
    this.#rate = sampleRate;
  }

  /** Whether the utterance is made more slowly than it is heard. */
  get slow() {
    return this.#rtf > 1;
  }

  /**
   * @param {number} rest samples that are to sound without a gap
   * @returns {number} how many of them must be buffered
   */
  wanted(rest) {
    if (!this.slow || this.waived || rest <= 0) return 0;
    const slowness = MARGIN * (this.#rtf - 1);
    const enough = (rest * slowness) / (1 + slowness) + this.#samples(SPARE_MS);
    return Math.min(rest, enough, this.#samples(MAX_BUFFER_MS));
  }

  /**
   * @param {{played: number, buffered: number}} track samples
   * @returns {Wait | null} null: there is enough for all the rest
   */
  wait({ played, buffered }) {
    const wanted = this.wanted(this.#length - played);
    if (buffered >= wanted) return null;
    return { ms: (1000 * this.#rtf * (wanted - buffered)) / this.#rate, share: buffered / wanted };
  }

  /** @param {number} since samples' time since the last arrival */
  stalled(since) {
    return since >= this.#samples(Math.max(STALL_MS, STALL_SPEECH_MS * this.#rtf));
  }

  /** @param {number} ms */
  #samples(ms) {
    return (ms * this.#rate) / 1000;
  }
}
