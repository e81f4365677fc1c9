// @ts-check
/**
 * Where in its text an utterance has got to, word by word as the server told: so that it can go on elsewhere at the first
 * word that is lacking. Pure. Places are code points of the whole text, and ticks.
 */

/** @typedef {import("./messages.js").Word} Word */
/** @typedef {{text: number, pts: number}} Place what comes next, and up to where the sound before it goes */

/** What may stand between words without being said with the next one. */
const BETWEEN = /[\s\p{Pe}\p{Pf},.;:!?…，。；：！？、]/u;

export class Bookmark {
  /** @type {{start: number, end: number, pts: number, words: Map<number, Word>}[]} */
  #segments = [];
  #from = 0;

  /** @param {{text_start: number, text_end: number, pts: number}} segment */
  addSegment({ text_start: start, text_end: end, pts }) {
    this.#segments.push({ start, end, pts, words: new Map() });
  }

  /** @param {Word[]} words estimates may be corrected: the last one for a `text_start` wins */
  addWords(words) {
    for (const word of words) {
      this.#segments.findLast(({ start, end }) => start <= word[0] && word[0] < end)?.words.set(word[0], word);
    }
  }

  /**
   * @param {number} ticks of sound that there are
   * @param {string[]} points the text
   * @returns {Place} the first word of which not all is there; the first segment where no words are known
   */
  at(ticks, points) {
    let reached = this.#from;
    for (const [index, { start, end, pts, words }] of this.#segments.entries()) {
      if (pts > ticks) break;
      const told = [...words.values()].sort((left, right) => left[0] - right[0]);
      const cut = told.find((word) => word[3] > ticks);
      if (cut) return { text: cut[0], pts: Math.min(cut[2], ticks) };
      const next = this.#segments[index + 1];
      if (next && next.pts <= ticks) reached = end;
      else if (told.length) reached = told[told.length - 1][1];
      else return { text: start, pts };
    }
    while (reached < points.length && BETWEEN.test(points[reached])) reached += 1;
    return { text: reached, pts: ticks };
  }

  /** It goes on from here: all that was told before is settled. @param {number} text code points */
  settle(text) {
    this.#from = text;
    this.#segments = [];
  }
}
