// @ts-check
/**
 * How long an utterance will be, and how fast it is being made, as well as can be known while it is made. Pure.
 *
 * The text is weighed: a letter counts as one, a Chinese character as three, a digit as four, since it is read out as a
 * word. Seconds for one of these are learnt from the places (`segment`, `words`) at which text is known to sound.
 */

/** Seconds for one letter before anything is learnt, and how many letters that belief is worth. */
const USUAL = { seconds: 1 / 15, letters: 30 };
/** The announced speed counts as if it had been seen over so many seconds of speech. */
const ANNOUNCED_S = 3;
/** Longer waits than so many patches' time are the writer's or the listener's, not the machine's. */
const MAX_PATCHES = 10;

const WEIGHTS = /** @type {const} */ ([
  [/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u, 3],
  [/\p{Nd}/u, 4],
  [/[\p{L}\p{M}\s]/u, 1],
]);
const OTHER_WEIGHT = 2;

export class Outlook {
  /** @type {number[]} letters before each code point, and after the last */
  #letters = [0];
  #spoken = { letters: 0, seconds: 0 };
  #usual;
  #rtf;
  #received = 0;
  /** Seconds of work, and of the speech that they made. */
  #seen = { work: 0, speech: 0 };
  /** @type {number | null} ms; null: what comes next has not been worked at since the last */
  #arrivedAt = null;

  /**
   * @param {object} options
   * @param {number} options.rtf seconds of work for a second of speech, as announced
   * @param {number} [options.speed] as asked for
   */
  constructor({ rtf, speed = 1 }) {
    this.#rtf = rtf;
    this.#usual = USUAL.seconds / speed;
  }

  /** Seconds of work for a second of speech. */
  get rtf() {
    return (ANNOUNCED_S * this.#rtf + this.#seen.work) / (ANNOUNCED_S + this.#seen.speech);
  }

  /** Seconds that all the text so far will take. */
  get seconds() {
    const { letters, seconds } = this.#spoken;
    const rest = (this.#letters.at(-1) ?? 0) - letters;
    return Math.max(this.#received, seconds + rest * this.#each);
  }

  /** Seconds for one letter. */
  get #each() {
    const { letters, seconds } = this.#spoken;
    return (USUAL.letters * this.#usual + seconds) / (USUAL.letters + letters);
  }

  /**
   * @param {number} start code points into the text
   * @param {number} end
   * @returns {number} seconds that the stretch between them will take
   */
  between(start, end) {
    return (this.#lettersAt(end) - this.#lettersAt(start)) * this.#each;
  }

  /** @param {string} text that is to be spoken too */
  write(text) {
    let letters = this.#letters.at(-1) ?? 0;
    for (const point of text) this.#letters.push((letters += weight(point)));
  }

  /**
   * @param {number} position code points into the text
   * @param {number} seconds at which that place sounds
   */
  reach(position, seconds) {
    const letters = this.#lettersAt(position);
    if (seconds >= this.#spoken.seconds) this.#spoken = { letters, seconds };
  }

  /** The writer had paused: the time since the last arrival was no work. */
  rest() {
    this.#arrivedAt = null;
  }

  /**
   * @param {number} seconds of speech have come
   * @param {number} nowMs
   */
  arrive(seconds, nowMs) {
    this.#received += seconds;
    if (this.#arrivedAt !== null) {
      const most = MAX_PATCHES * seconds * this.rtf;
      this.#seen.work += Math.min((nowMs - this.#arrivedAt) / 1000, most);
      this.#seen.speech += seconds;
    }
    this.#arrivedAt = nowMs;
  }

  /** @param {number} position code points into the text */
  #lettersAt(position) {
    return this.#letters[Math.min(position, this.#letters.length - 1)];
  }
}

/** @param {string} point one code point @returns {number} letters that take as long to say */
function weight(point) {
  return WEIGHTS.find(([kind]) => kind.test(point))?.[1] ?? OTHER_WEIGHT;
}
