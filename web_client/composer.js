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
  }

  /** Says the box now: the rest of what is being typed, or else all of it in place of what still sounds. */
  speak() {
    clearTimeout(this.#pauseTimer);
    if (!this.#hooks.ready()) return;
    if (!this.#draft.open) this.#hooks.stop();
    this.#act(this.#draft.finish());
    this.#note = "";
    this.#box.select();
  }

  /** Says the box's text as if a language model wrote it just now. */
  replay() {
    if (!this.#hooks.ready() || !this.#box.value.trim()) return;
    this.#hooks.stop();
    this.#draft.close();
    const utterance = this.#hooks.begin();
    const rate = element("replay-rate", HTMLInputElement).valueAsNumber || 20;
    this.#stopReplay = replay({
      text: this.#box.value,
      perSecond: Math.min(500, Math.max(1, rate)),
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
      if (!composing) this.#pauseTimer = setTimeout(() => this.#act(this.#draft.pause()), PAUSE_MS);
      this.#note = pasted && this.#draft.loaded ? "pasted" : "";
    }
    this.render();
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
      if (action.type === "text") this.#conversation.write(this.#writing, action.text);
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
