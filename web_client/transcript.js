// @ts-check
/** Shows the utterances' texts: what was heard, the word that sounds, what is still to come, what was cut off. */

/** @typedef {import("./utterance.js").Utterance} Utterance */
/** @typedef {{row: HTMLElement, before: Text, word: Text, after: Text, rest: HTMLElement, shown: string}} Row */

export class Transcript {
  #root;
  #empty;
  /** @type {Map<Utterance, Row>} */
  #rows = new Map();

  /**
   * @param {HTMLElement} root scrolls
   * @param {HTMLElement} empty shown while there is no text
   */
  constructor(root, empty) {
    this.#root = root;
    this.#empty = empty;
  }

  /**
   * @param {Utterance[]} utterances those to be shown
   * @param {{utterance: Utterance, ticks: number} | null} heard where the ear is
   */
  show(utterances, heard) {
    for (const [utterance, { row }] of this.#rows) {
      if (utterances.includes(utterance)) continue;
      row.remove();
      this.#rows.delete(utterance);
    }
    for (const utterance of utterances) {
      if (!utterance.captions.text) continue;
      const at = heard && heard.utterance.track === utterance.track ? heard.ticks : null;
      this.#update(utterance, this.#rows.get(utterance) ?? this.#add(utterance), at, heard);
    }
    this.#empty.hidden = this.#rows.size > 0;
  }

  /** @param {Utterance} utterance @returns {Row} */
  #add(utterance) {
    const row = document.createElement("p");
    const mark = document.createElement("mark");
    const rest = document.createElement("span");
    const [before, word, after] = [0, 1, 2].map(() => document.createTextNode(""));
    mark.append(word);
    rest.append(after);
    row.append(before, mark, rest);
    this.#root.append(row);
    const added = { row, before, word, after, rest, shown: "" };
    this.#rows.set(utterance, added);
    this.#root.scrollTop = this.#root.scrollHeight;
    return added;
  }

  /**
   * @param {Utterance} utterance
   * @param {Row} row
   * @param {number | null} ticks heard of it, if the ear is in it
   * @param {{utterance: Utterance} | null} heard
   */
  #update(utterance, row, ticks, heard) {
    const { text } = utterance.captions;
    const passed = utterance.over || (heard !== null && heard.utterance.track > utterance.track);
    const cut = utterance.cutTicks !== null && passed;
    const stretch = stretchOf(utterance, passed, cut, ticks);
    const shown = `${stretch.start} ${stretch.end} ${text.length} ${cut} ${utterance.language}`;
    if (shown === row.shown) return;
    row.shown = shown;
    row.row.lang = utterance.language === "auto" ? "" : utterance.language;
    row.before.data = text.slice(0, stretch.start);
    row.word.data = text.slice(stretch.start, stretch.end);
    row.after.data = text.slice(stretch.end);
    row.rest.className = cut ? "unheard" : "ahead";
    if (ticks !== null && !passed) this.#keepInView(/** @type {HTMLElement} */ (row.word.parentElement));
  }

  /** @param {HTMLElement} word scrolls this box alone, never the page */
  #keepInView(word) {
    const box = this.#root.getBoundingClientRect();
    const line = word.getBoundingClientRect();
    if (line.bottom > box.bottom - 8) this.#root.scrollTop += line.bottom - box.bottom + 0.4 * box.height;
    else if (line.top < box.top + 8) this.#root.scrollTop -= box.top - line.top + 0.4 * box.height;
  }
}

/**
 * @param {Utterance} utterance
 * @param {boolean} passed the ear has left it
 * @param {boolean} cut before its end
 * @param {number | null} ticks
 */
function stretchOf({ captions, cutTicks }, passed, cut, ticks) {
  const whole = { start: captions.text.length, end: captions.text.length };
  if (passed && !cut) return whole;
  const found = captions.at(cut ? (cutTicks ?? 0) : (ticks ?? -1)) ?? { start: 0, end: 0 };
  return cut ? { start: found.end, end: found.end } : found;
}
