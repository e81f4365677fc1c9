// @ts-check
/**
 * The text box as a stream: what is appended is said at once, and second thoughts are honoured where they still can be.
 * Pure: told of each change of the box, it answers with what is to be done.
 *
 * The word under the cursor is held back until it is complete (its letters cost no time: nothing is spoken before a
 * clause is), so that a slip of the finger is mended unheard. A change before that point: if what it touches has been
 * heard, speech goes on and only the places shift; otherwise the utterance stops at its next word and a new one says
 * the corrected rest. A pasted text is not said by itself: the buttons say how.
 */

/** @typedef {{type: "start"} | {type: "text", text: string} | {type: "end"} | {type: "restart"}} Action */

const BOUNDARY =
  /.*[\s\p{P}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}]/su;

export class Draft {
  /** An utterance takes this box's text now. */
  open = false;
  /** The box holds a text that is said only on demand: pasted, or changed after it was said. */
  loaded = false;

  /** Written but not given yet, to an utterance that may still take it. */
  get holding() {
    return this.open && !this.#restarting && (this.#corrected !== null || this.#given < this.#box.length);
  }

  /** The box's text at the last change. */
  #box = "";
  /** How much of the box has been given to utterances. */
  #given = 0;
  /** Box index minus utterance index, past all corrections of what was heard. */
  #shift = 0;
  /** @type {number | null} first box index changed before it was heard; null if the utterance is as the box is */
  #corrected = null;
  #restarting = false;
  #endAsked = false;

  /**
   * @param {string} text all of the box
   * @param {object} how
   * @param {boolean} [how.pasted]
   * @param {boolean} [how.replaced] all that was in the box before
   * @param {boolean} [how.composing] an input method is still at work on the last letters
   * @param {number} [how.heard] index in the utterance's text of what has been heard
   * @returns {Action[]}
   */
  change(text, { pasted = false, replaced = false, composing = false, heard = 0 } = {}) {
    const old = this.#box;
    this.#box = text;
    const from = commonPrefix(old, text);
    const kept = commonSuffix(old, text, from);
    const grown = text.length - old.length;
    if (!this.open) return this.#open(text, { from, pasted, replaced, composing });
    if (from < this.#given) {
      if (old.length - kept <= heard + this.#shift) {
        this.#given += grown;
        this.#shift += grown;
        if (this.#corrected !== null) this.#corrected += grown;
      } else {
        this.#corrected = Math.min(from, this.#corrected ?? from);
      }
    }
    return composing ? [] : this.#give(wordEnd(text));
  }

  /** The writer has paused: what was held back is due. @returns {Action[]} */
  pause() {
    if (!this.open || this.#restarting) return [];
    if (this.#corrected === null) return this.#give(this.#box.length);
    this.#restarting = true;
    return [{ type: "restart" }];
  }

  /** The writer asks to hear it all now. @returns {Action[]} */
  finish() {
    if (this.open && (this.#restarting || this.#corrected !== null)) {
      this.#endAsked = true;
      return this.pause();
    }
    /** @type {Action[]} */
    const actions = [];
    if (!this.open) {
      if (!this.#box.trim()) return [];
      this.#begin(0);
      actions.push({ type: "start" });
    }
    actions.push(...this.#give(this.#box.length), { type: "end" });
    this.close();
    return actions;
  }

  /** No utterance takes text any more; what follows in the box begins another. */
  close() {
    this.open = this.loaded = this.#restarting = this.#endAsked = false;
    this.#corrected = null;
    this.#given = this.#box.length;
  }

  /**
   * The utterance that had to be restarted has stopped.
   * @param {number} spoken index in its text up to which it was said
   * @returns {Action[]} says the rest of the box in another one
   */
  resume(spoken) {
    if (!this.#restarting) return [];
    const corrected = this.#corrected ?? this.#box.length;
    const reached = spoken + this.#shift;
    const from = reached <= corrected ? reached : wordEnd(this.#box.slice(0, corrected));
    const ending = this.#endAsked;
    this.#begin(Math.min(from, this.#box.length));
    const rest = this.#give(this.#box.length);
    if (ending || !rest.length) this.close();
    if (!rest.length) return [];
    return [{ type: "start" }, ...rest, ...(ending ? [{ type: /** @type {const} */ ("end") }] : [])];
  }

  /** @param {number} from box index */
  #begin(from) {
    this.open = true;
    this.#given = this.#shift = from;
    this.#corrected = null;
    this.#restarting = this.#endAsked = false;
  }

  /**
   * @param {string} text
   * @param {{from: number, pasted: boolean, replaced: boolean, composing: boolean}} how
   * @returns {Action[]}
   */
  #open(text, { from, pasted, replaced, composing }) {
    if (!text) {
      this.loaded = false;
      this.#given = 0;
      return [];
    }
    const appended = from >= this.#given;
    this.loaded = pasted || !(replaced || (appended && !this.loaded));
    if (this.loaded) return [];
    this.#begin(replaced ? 0 : this.#given);
    return [{ type: "start" }, ...(composing ? [] : this.#give(wordEnd(text)))];
  }

  /**
   * @param {number} upTo box index
   * @returns {Action[]}
   */
  #give(upTo) {
    if (this.#corrected !== null || upTo <= this.#given) return [];
    const text = this.#box.slice(this.#given, upTo);
    this.#given = upTo;
    return [{ type: "text", text }];
  }
}

/** @param {string} text @returns {number} index after the last complete word */
function wordEnd(text) {
  return BOUNDARY.exec(text)?.[0].length ?? 0;
}

/** @param {string} left @param {string} right */
function commonPrefix(left, right) {
  let length = 0;
  while (length < left.length && length < right.length && left[length] === right[length]) length += 1;
  return isLowSurrogate(right, length) || isLowSurrogate(left, length) ? length - 1 : length;
}

/** @param {string} left @param {string} right @param {number} prefix what is common at the front already */
function commonSuffix(left, right, prefix) {
  const longest = Math.min(left.length, right.length) - prefix;
  let length = 0;
  while (length < longest && left.at(-1 - length) === right.at(-1 - length)) length += 1;
  return length;
}

/** @param {string} text @param {number} index */
function isLowSurrogate(text, index) {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit < 0xe000;
}
