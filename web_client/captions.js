// @ts-check
/** One utterance's text and when each word of it sounds. Pure: from a heard position to the stretch to highlight. */

/** @typedef {import("./messages.js").Word} Word */
/** @typedef {{start: number, end: number}} Stretch of the text, in UTF-16 units as the DOM counts */

export class Captions {
  /** All that was written so far. */
  text = "";

  /** @type {Word[]} by pts */
  #words = [];
  /** @type {Word[]} by pts; the coarse answer where the server knows no words */
  #segments = [];
  /** @type {number[] | null} UTF-16 index of each code point; null while the two counts agree */
  #units = null;

  /** @param {string} delta */
  append(delta) {
    this.text += delta;
    this.#units = null;
  }

  /** @param {Word[]} words estimates may be corrected: the last one for a `text_start` wins */
  addWords(words) {
    const starts = new Set(words.map(([start]) => start));
    this.#words = [...this.#words.filter(([start]) => !starts.has(start)), ...words];
    this.#words.sort((left, right) => left[2] - right[2]);
  }

  /** @param {{text_start: number, text_end: number, pts: number}} segment */
  addSegment({ text_start: start, text_end: end, pts }) {
    this.#segments.push([start, end, pts, pts]);
  }

  /** Forgets when what stands from a place on sounds: it will be told anew. @param {number} position code points */
  forget(position) {
    this.#words = this.#words.filter(([start]) => start < position);
    this.#segments = this.#segments.filter(([start]) => start < position);
  }

  /**
   * @param {number} ticks heard
   * @returns {Stretch | null} the word that sounds, or sounded last
   */
  at(ticks) {
    const segment = latest(this.#segments, ticks);
    const word = latest(this.#words, ticks);
    const found = word && (!segment || word[2] >= segment[2]) ? word : this.#words.length ? word : segment;
    return found ? { start: this.index(found[0]), end: this.index(found[1]) } : null;
  }

  /**
   * @param {number} ticks received
   * @returns {boolean} whether the last of the text is surely within them; false where the server knows no words
   */
  spokenBy(ticks) {
    const ends = this.#words.filter(([, , , ptsEnd]) => ptsEnd <= ticks).map(([, end]) => end);
    return !/[\p{L}\p{N}]/u.test(this.text.slice(this.index(Math.max(0, ...ends))));
  }

  /** @param {number} position code points @returns {string} the word there; empty at the end */
  wordAt(position) {
    const rest = this.text.slice(this.index(position));
    return /^\s*(\p{Script=Han}{1,4}|(?:(?!\p{Script=Han})[\p{L}\p{M}\p{N}'’]){1,24}|\S?)/u.exec(rest)?.[1] ?? "";
  }

  /**
   * @param {number} position in code points, as the server counts
   * @returns {number} in UTF-16 units
   */
  index(position) {
    this.#units ??= countUnits(this.text);
    return this.#units[position] ?? this.text.length;
  }
}

/**
 * @param {string} text
 * @returns {number[]} UTF-16 index of each code point
 */
function countUnits(text) {
  const units = [];
  let unit = 0;
  for (const point of text) {
    units.push(unit);
    unit += point.length;
  }
  return units;
}

/**
 * @param {Word[]} words by pts
 * @param {number} ticks
 * @returns {Word | null} the last that has begun
 */
function latest(words, ticks) {
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle][2] <= ticks) low = middle + 1;
    else high = middle;
  }
  return words[low - 1] ?? null;
}
