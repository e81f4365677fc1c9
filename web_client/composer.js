// @ts-check
/** The writing side: the text box, what it streams as it is typed, and the replay of a text as an LLM would write it. */

import { Draft } from "./draft.js";
import { element, setText } from "./elements.js";
import { replay } from "./replay.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./utterance.js").Utterance} Utterance */
/** @typedef {import("./i18n.js").Say} Say */

/** How long after the last letter an unfinished word is sent, or a correction takes effect. */
const PAUSE_MS = 500;
/** How often the server hears, at most, that the writer is at work on a word that is held back. */
const STIR_MS = 200;
const RATE = { usual: 20, min: 1, max: 500 };

/**
 * @typedef {object} Hooks
 * @property {() => boolean} ready whether there is a session to speak in
 * @property {() => Utterance} begin opens an utterance with the settings as they are
 * @property {() => {utterance: Utterance, ticks: number} | null} heard where the ear is
 * @property {() => void} stop silences what sounds, before another text is said in its place
 * @property {Say} say the page's words
 */

export class Composer {
  #conversation;
  #hooks;
  #box = element("text", HTMLTextAreaElement);
  #draft = new Draft();
  /** @type {Utterance | null} the one that takes the box's text */
  #writing = null;
  /** @type {(() => void) | null} */
  #stopReplay = null;
  #pauseTimer = 0;
  #toldAt = -Infinity;
  #replaced = false;
  #note = "";

  /**
   * @param {Conversation} conversation
   * @param {Hooks} hooks
   */
  constructor(conversation, hooks) {
    this.#conversation = conversation;
    this.#hooks = hooks;
    const box = this.#box;
    box.addEventListener("beforeinput", () => {
      this.#replaced = box.value !== "" && box.selectionStart === 0 && box.selectionEnd === box.value.length;
    });
    box.addEventListener("input", (event) => {
      const { inputType = "", isComposing = false } = event instanceof InputEvent ? event : {};
      this.#typed(inputType.startsWith("insertFrom"), isComposing);
    });
    box.addEventListener("compositionend", () => this.#typed(false, false));
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.speak();
    });
    element("replay-rate", HTMLInputElement).addEventListener("change", () => this.#rate());
  }

  /** Says the box now: the rest of what is being typed, or else all of it in place of what still sounds. */
  speak() {
    clearTimeout(this.#pauseTimer);
    if (!this.#hooks.ready()) return;
    if (!this.#draft.open) this.#hooks.stop();
    this.#note = "";
    this.#act(this.#draft.finish());
    this.#box.select();
  }

  /** Says something else than the box's text, in place of what still sounds. @param {string} text */
  say(text) {
    if (!this.#hooks.ready()) return;
    this.#hooks.stop();
    this.#draft.close();
    const utterance = this.#hooks.begin();
    this.#conversation.write(utterance, text);
    this.#conversation.end(utterance);
  }

  /** Says the box's text as if a language model wrote it just now. */
  replay() {
    if (!this.#hooks.ready() || !this.#box.value.trim()) return;
    this.#hooks.stop();
    this.#draft.close();
    const utterance = this.#hooks.begin();
    this.#stopReplay = replay({
      text: this.#box.value,
      perSecond: this.#rate(),
      write: (text) => this.#conversation.write(utterance, text),
      end: () => {
        this.#stopReplay = null;
        this.#conversation.end(utterance);
      },
    });
  }

  /** No utterance takes more text: it was stopped, or the connection is lost. */
  letGo() {
    clearTimeout(this.#pauseTimer);
    this.#stopReplay?.();
    this.#stopReplay = this.#writing = null;
    if (this.#draft.open) this.#draft.close();
  }

  /**
   * The server has finished with an utterance: perhaps with the one being written to, perhaps to be restarted.
   * @param {Utterance} utterance
   * @param {Extract<import("./messages.js").NetToPage, {type: "done"}>} done
   */
  finished(utterance, { reason, spoken }) {
    if (utterance !== this.#writing) return;
    const said = utterance.captions.index(spoken?.text_end ?? 0);
    const actions = reason === "cancelled" ? this.#draft.resume(said) : [];
    if (actions.length) this.#act(actions);
    else this.letGo();
  }

  /** @param {string} key of the sentence to stand below the box until the next change of it */
  note(key) {
    this.#note = key;
    this.render();
  }

  focus() {
    this.#box.focus({ preventScroll: true });
  }

  /** Writes the line below the box anew. */
  render() {
    setText("note", this.#note && this.#hooks.say(this.#note));
  }

  /**
   * @param {boolean} pasted
   * @param {boolean} composing
   */
  #typed(pasted, composing) {
    clearTimeout(this.#pauseTimer);
    const text = this.#box.value;
    if (!element("live", HTMLInputElement).checked || !this.#hooks.ready() || this.#stopReplay) {
      this.#draft.change(text, { pasted: true });
      this.#note = "";
    } else {
      this.#act(this.#draft.change(text, { pasted, composing, replaced: this.#replaced, heard: this.#reached() }));
      this.#stir();
      if (!composing) this.#pauseTimer = setTimeout(() => this.#act(this.#draft.pause()), PAUSE_MS);
      this.#note = pasted && this.#draft.loaded ? "pasted" : "";
    }
    this.render();
  }

  /** Keeps the server from taking a long word, of which nothing is sent until it is whole, for a pause. */
  #stir() {
    const now = performance.now();
    if (!this.#writing || !this.#draft.holding || now - this.#toldAt < STIR_MS) return;
    this.#conversation.stir(this.#writing);
    this.#toldAt = now;
  }

  /** Pieces per second, as asked for within bounds; the field shows what came of it. */
  #rate() {
    const field = element("replay-rate", HTMLInputElement);
    const asked = Number.isNaN(field.valueAsNumber) ? RATE.usual : field.valueAsNumber;
    field.valueAsNumber = Math.min(RATE.max, Math.max(RATE.min, asked));
    return field.valueAsNumber;
  }

  /** How far the ear is in the text being written: the word that sounds counts as heard. */
  #reached() {
    const heard = this.#hooks.heard();
    if (!heard || heard.utterance !== this.#writing) return 0;
    return heard.utterance.captions.at(heard.ticks)?.end ?? 0;
  }

  /** @param {import("./draft.js").Action[]} actions */
  #act(actions) {
    for (const action of actions) {
      if (action.type === "start") this.#writing = this.#hooks.begin();
      if (!this.#writing) return;
      if (action.type === "text") {
        this.#conversation.write(this.#writing, action.text);
        this.#toldAt = performance.now();
      }
      if (action.type === "restart") {
        this.#conversation.stopAtWord(this.#writing);
        this.#note = "correction";
      }
      if (action.type === "end") {
        this.#conversation.end(this.#writing);
        this.#writing = null;
      }
    }
    this.render();
  }
}
