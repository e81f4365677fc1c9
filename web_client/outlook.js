// @ts-check
/**
 * How long an utterance will be, and how fast it is being made, as well as can be known while it is made. Pure.
 *
 * The text is weighed: a letter counts as one, a Chinese character as three, a digit as four, since it is read out as a
 * word. Seconds for one of these are learnt from the places (`segment`, `words`) at which text is known to sound.
 *
 * A clause costs its patches and its beginning, when the model reads voice and text anew: as much work as a few patches, or
 * twenty. The two are learnt apart, for how many beginnings are still to come depends on how long the clauses are.
 */

/** Seconds for one letter before anything is learnt, and how many letters that belief is worth. */
const USUAL = { seconds: 1 / 15, letters: 30 };
/** From so many on they tell how slow a voice is; before, it may have been a pause. */
const SEEN_LETTERS = 8;
/** Letters of a clause; the belief is worth one clause. */
const USUAL_CLAUSE = 60;
/** The announced speed counts as if it had been seen over so many seconds of speech. */
const ANNOUNCED_S = 3;
/** Longer waits than so many patches' time are the writer's or the listener's, not the machine's. */
const MAX_PATCHES = 25;

const WEIGHTS = /** @type {const} */ ([
  [/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u, 3],
  [/\p{Nd}/u, 4],
  [/[\p{L}\p{M}\s]/u, 1],
]);
const OTHER_WEIGHT = 2;
const SAYABLE = /[\p{L}\p{N}]/u;

export class Outlook {
  /** @type {number[]} letters before each code point, and after the last */
  #letters = [0];
  /** Code points up to the last that is surely said, and up to where the text is known to sound. */
  #sayable = 0;
  #reached = 0;
  #spoken = { letters: 0, seconds: 0 };
  #usual;
  #announced;
  #received = 0;
  /** Seconds of work, and of the speech that they made; less the beginnings of clauses. */
  #seen = { work: 0, speech: 0 };
  /** Clauses begun, the letters up to the last one's end, and the seconds of work that their beginnings took. */
  #clauses = { count: 0, letters: 0, work: 0, latest: 0 };
  /** @type {number | null} ms: since when all the text was there of the clause whose first sound is to come */
  #begunAt = null;
  /** @type {number | null} ms; null: what comes next has not been worked at since the last */
  #arrivedAt = null;
  /** ms: until when the machine was at work for another utterance, while there was nothing of this one */
  #freeAt = -Infinity;
  /** @type {{upTo: number, nowMs: number}[]} when text was written up to a code point; from the latest clause on */
  #written = [];

  /**
   * @param {object} options
   * @param {number} options.rtf seconds of work for a second of speech, as announced
   * @param {number} [options.speed] as asked for
   */
  constructor({ rtf, speed = 1 }) {
    this.#announced = rtf;
    this.#usual = USUAL.seconds / speed;
  }

  /** Seconds of work for a second of speech inside a clause. */
  get pace() {
    return (ANNOUNCED_S * this.#announced + this.#seen.work) / (ANNOUNCED_S + this.#seen.speech);
  }

  /** Seconds of work for a second of the speech that is still to be made, with the beginnings of its clauses. */
  get rtf() {
    const { count, letters, work, latest } = this.#clauses;
    const unbegun = this.#total - letters;
    const rest = this.seconds - this.#received;
    if (!count || unbegun <= 0 || rest <= 0) return this.pace;
    const beginnings = Math.ceil((unbegun * (count + 1)) / (letters + USUAL_CLAUSE));
    return this.pace + (beginnings * Math.max(latest, work / count)) / Math.max(rest, unbegun * this.#each);
  }

  /** Seconds that all the text so far will take. */
  get seconds() {
    const { letters, seconds } = this.#spoken;
    return Math.max(this.#received, seconds + (this.#total - letters) * this.#each);
  }

  /** Whether text was given that is not known to sound in what has come. */
  get unspoken() {
    return this.#reached < this.#sayable;
  }

  /** Letters of all the text so far. */
  get #total() {
    return this.#letters[this.#letters.length - 1];
  }

  /** Seconds for one letter. */
  get #each() {
    const { letters, seconds } = this.#spoken;
    const believed = (USUAL.letters * this.#usual + seconds) / (USUAL.letters + letters);
    // A slower voice is believed at once: too short a wait is heard.
    return letters < SEEN_LETTERS ? believed : Math.max(believed, seconds / letters);
  }

  /**
   * @param {string} text that is to be spoken too
   * @param {number} nowMs
   */
  write(text, nowMs) {
    let letters = this.#total;
    for (const point of text) {
      this.#letters.push((letters += weight(point)));
      if (SAYABLE.test(point)) this.#sayable = this.#letters.length - 1;
    }
    this.#written.push({ upTo: this.#letters.length - 1, nowMs });
  }

  /**
   * A clause of the text begins with what comes next.
   * @param {number} start code points into the text
   * @param {number} end
   * @param {number} seconds at which it sounds
   * @returns {number} seconds that it will take
   */
  begin(start, end, seconds) {
    this.reach(start, seconds);
    const whole = this.#written.findIndex(({ upTo }) => upTo >= end);
    if (whole > 0) this.#written.splice(0, whole);
    this.#begunAt = this.#written[0]?.nowMs ?? null;
    this.#clauses.count += 1;
    this.#clauses.letters = this.#lettersAt(end);
    return (this.#lettersAt(end) - this.#lettersAt(start)) * this.#each;
  }

  /**
   * @param {number} position code points into the text
   * @param {number} seconds at which that place sounds
   */
  reach(position, seconds) {
    this.#reached = Math.max(this.#reached, position);
    if (seconds >= this.#spoken.seconds) this.#spoken = { letters: this.#lettersAt(position), seconds };
  }

  /** The writer had paused: the time since the last arrival was no work. */
  rest() {
    this.#arrivedAt = null;
  }

  /** Speech of another utterance has come, which may have been before this one's turn. @param {number} nowMs */
  queue(nowMs) {
    if (!this.#received) this.#freeAt = nowMs;
  }

  /**
   * @param {number} seconds of speech have come
   * @param {number} nowMs
   */
  arrive(seconds, nowMs) {
    const since = Math.max(this.#arrivedAt ?? this.#freeAt, this.#begunAt ?? -Infinity);
    const work = Math.min((nowMs - since) / 1000, MAX_PATCHES * seconds * this.pace);
    if (this.#begunAt !== null) {
      this.#clauses.latest = Math.max(0, work - seconds * this.pace);
      this.#clauses.work += this.#clauses.latest;
    } else if (this.#arrivedAt !== null) {
      this.#seen.work += work;
      this.#seen.speech += seconds;
    }
    this.#received += seconds;
    this.#arrivedAt = nowMs;
    this.#begunAt = null;
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
