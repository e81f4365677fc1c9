// @ts-check
/** The panel of voices: which there are, to be tried and, if they were added here, deleted; and the way to add one. */

import { Audition } from "./audition.js";
import { element, setText } from "./elements.js";
import { nameOf } from "./languages.js";
import { Refusal } from "./voices.js";

/** @typedef {import("./voices.js").Voice} Voice */
/** @typedef {import("./voices.js").Voices} Voices */
/** @typedef {import("./voices.js").Listing} Listing */
/** @typedef {import("./voices.js").Added} Added */
/** @typedef {import("./i18n.js").Say} Say */
/** @typedef {{key: string, name: string, reason?: string}} News of a voice, as a sentence's key and its places */
/**
 * @typedef {object} RosterHooks
 * @property {(listing: Listing) => void} learned which voices there are
 * @property {(voice: Voice) => void} choose for what is spoken next
 * @property {(voice: Voice) => void} tryOut lets it say a sentence
 * @property {() => void} quiet silences what the page speaks
 * @property {Say} say the page's words
 */

/** A voice that comes with the engine's restart is looked for so often: longer than a large model takes to load. */
const LOOKS = 200;
const LOOK_MS = 1500;

export class Roster {
  #voices;
  #hooks;
  #audition;
  #list = element("voice-list", HTMLUListElement);
  #add = element("voice-add", HTMLButtonElement);
  #dialog = element("voice-dialog", HTMLDialogElement);
  /** @type {Listing} */
  #listing = { default: "", voices: [] };
  /** @type {string[]} the model's, as it speaks them */
  #languages = [];
  #tag = "en";
  /** @type {Voice | null} the one just added */
  #added = null;
  /** @type {Voice | null} the one that the server has, but cannot speak with yet */
  #coming = null;
  /** @type {string | null} the one that may be deleted */
  #doomed = null;
  /** @type {News | null} */
  #news = null;

  /**
   * @param {Voices} voices
   * @param {RosterHooks} hooks
   */
  constructor(voices, hooks) {
    this.#voices = voices;
    this.#hooks = hooks;
    this.#audition = new Audition({
      send: (submission, signal) => voices.add(submission, signal),
      added: (added) => this.#welcome(added),
      closed: () => this.#show(null),
      quiet: hooks.quiet,
      say: hooks.say,
    });
    this.#add.addEventListener("click", () => {
      this.#news = this.#added = null;
      this.#add.hidden = true;
      this.render(this.#tag);
      this.#audition.open();
    });
    const panel = element("voices-panel", HTMLDetailsElement);
    panel.addEventListener("toggle", () => (panel.open ? this.refresh() : this.#audition.hush()));
    element("voice-try", HTMLButtonElement).addEventListener("click", () => this.#added && hooks.tryOut(this.#added));
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.returnValue === "delete" && this.#doomed) this.#remove(this.#doomed);
      this.#doomed = null;
    });
  }

  /** @param {string[]} languages what `ready` tells of the model */
  learn(languages) {
    const known = languages.filter((code) => code !== "auto" && code !== "*");
    this.#languages = known.length ? known : ["en", "zh"];
  }

  /** Asks the server; without an answer what was known stays. */
  async refresh() {
    try {
      this.#listing = await this.#voices.list();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return;
    }
    this.#audition.learn(this.#listing.limits);
    this.#hooks.learned(this.#listing);
    this.render(this.#tag);
  }

  /** @param {string} tag the page's language */
  render(tag) {
    this.#tag = tag;
    const { say } = this.#hooks;
    const { voices, can_add: canAdd } = this.#listing;
    const names = new Intl.DisplayNames([tag], { type: "language", fallback: "code" });
    const own = voices.filter(({ removable }) => removable);
    const others = voices.filter(({ removable }) => !removable);
    this.#list.replaceChildren(...[...own, ...others].map((voice) => this.#row(voice, nameOf(names, voice.language))));
    setText("voice-count", voices.length ? String(voices.length) : "");
    this.#add.disabled = !canAdd;
    element("voice-fixed", HTMLElement).hidden = Boolean(canAdd) || !voices.length;
    setText("voice-news", this.#news ? say(this.#news.key, { name: this.#news.name, reason: this.#news.reason ?? "" }) : "");
    element("voice-try", HTMLButtonElement).hidden = !this.#added;
    this.#audition.render(tag, this.#languages);
  }

  /**
   * @param {Voice} voice
   * @param {string} language its name
   */
  #row(voice, language) {
    const { say, tryOut } = this.#hooks;
    const { name } = voice;
    const row = document.createElement("li");
    const about = document.createElement("p");
    const title = document.createElement("strong");
    const more = document.createElement("span");
    title.textContent = name;
    more.textContent = [language, voice.description, name === this.#listing.default && say("voiceDefault")]
      .filter(Boolean).join(" · ");
    about.append(title, more);
    row.append(about, button(say("voiceTry"), say("voiceTryName", { name }), () => tryOut(voice)));
    if (voice.removable) row.append(button(say("voiceDelete"), say("voiceDeleteName", { name }), () => this.#doubt(voice)));
    return row;
  }

  /** @param {Voice} voice its end is to be confirmed */
  #doubt({ name }) {
    this.#doomed = name;
    setText("voice-dialog-title", this.#hooks.say("voiceDoubt", { name }));
    this.#dialog.returnValue = "";
    this.#dialog.showModal();
  }

  /** @param {string} name */
  async #remove(name) {
    try {
      await this.#voices.remove(name);
      this.#show({ key: "voiceDeleted", name });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#show({ key: "voiceKept", name, reason: error.message || this.#hooks.say("voiceUnreachable") });
    }
    await this.refresh();
  }

  /** @param {Added} added */
  async #welcome({ voice, speaks }) {
    this.#coming = speaks ? null : voice;
    if (!speaks) {
      this.#show({ key: "voiceComing", name: voice.name });
      return this.#lookFor(voice);
    }
    await this.refresh();
    this.#hooks.choose(voice);
    this.#show({ key: "voiceAdded", name: voice.name }, voice);
    return element("voice-try", HTMLButtonElement).focus();
  }

  /** @param {Voice} voice is chosen as soon as the server can speak with it, unless another is added meanwhile */
  async #lookFor(voice) {
    for (let looks = 0; looks < LOOKS && this.#coming === voice; looks++) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      if (this.#coming === voice) await this.refresh();
      if (this.#coming !== voice || !this.#listing.voices.some(({ name }) => name === voice.name)) continue;
      this.#coming = null;
      this.#hooks.choose(voice);
      this.#amend({ key: "voiceAdded", name: voice.name }, voice);
    }
    if (this.#coming === voice) this.#amend({ key: "voiceLate", name: voice.name });
  }

  /**
   * Better news of a voice that was to come, if nothing else has been told since; the keyboard stays where it is.
   * @param {News} news
   * @param {Voice | null} [added]
   */
  #amend(news, added = null) {
    if (this.#news?.key !== "voiceComing") return;
    this.#news = news;
    this.#added = added;
    this.render(this.#tag);
  }

  /**
   * Shows the list, with what has happened; the keyboard is back where it can go on.
   * @param {News | null} news
   * @param {Voice | null} [added]
   */
  #show(news, added = null) {
    this.#news = news;
    this.#added = added;
    this.#add.hidden = false;
    this.render(this.#tag);
    if (!added) this.#add.focus();
  }
}

/**
 * @param {string} text
 * @param {string} label what it is to who cannot see whose it is
 * @param {() => void} act
 */
function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  made.ariaLabel = label;
  made.addEventListener("click", act);
  return made;
}
