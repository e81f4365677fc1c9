// @ts-check
/**
 * The utterances of this page: opens and closes them, hands the Worker's news to the right one, and knows which of
 * them the ear has reached. No element of the page is known here.
 */

import { Utterance } from "./utterance.js";

/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./messages.js").PageToNet} PageToNet */
/** @typedef {import("./messages.js").Position} Position */
/** @typedef {import("./messages.js").Start} Start */

/** Utterances whose text stays on the page. */
const MAX_UTTERANCES = 20;

export class Conversation {
  /** @type {Utterance[]} in order of speaking, the oldest forgotten */
  utterances = [];
  /** Whether the last thing that happened was a barge-in. */
  stopped = false;

  #post;
  #ticksPerSample;
  #name = sessionName();
  #num = 0;

  /**
   * @param {(message: PageToNet) => void} post to the Worker
   * @param {() => number} ticksPerSample of an utterance that starts now
   */
  constructor(post, ticksPerSample) {
    this.#post = post;
    this.#ticksPerSample = ticksPerSample;
  }

  /** Those that are still to be heard, in part or whole. */
  get live() {
    return this.utterances.filter((utterance) => !utterance.over);
  }

  /** @returns {Utterance | null} the one heard now, or next, or last */
  get current() {
    return this.live[0] ?? this.utterances.at(-1) ?? null;
  }

  /**
   * Opens an utterance, to be heard after all that are live.
   * @param {Omit<Start, "type" | "utterance" | "after">} settings
   * @returns {Utterance}
   */
  start(settings) {
    const track = this.#num++;
    const utterance = new Utterance(`${this.#name}-${track}`, track, this.#ticksPerSample());
    const after = this.live.at(-1)?.id;
    this.utterances = [...this.utterances.slice(1 - MAX_UTTERANCES), utterance];
    this.stopped = false;
    this.#post({ type: "start", track, start: { type: "start", utterance: utterance.id, words: true, after, ...settings } });
    return utterance;
  }

  /**
   * @param {Utterance} utterance
   * @param {string} text
   */
  write(utterance, text) {
    // A surrogate without its partner has no form on the wire.
    const wellFormed = text.replace(/\p{Surrogate}/gu, "\ufffd");
    utterance.captions.append(wellFormed);
    this.#post({ type: "text", utterance: utterance.id, text: wellFormed });
  }

  /** @param {Utterance} utterance its writer is at work, although nothing is to be said yet */
  stir(utterance) {
    this.#post({ type: "text", utterance: utterance.id, text: "" });
  }

  /** @param {Utterance} utterance no more text comes */
  end(utterance) {
    utterance.ended = true;
    this.#post({ type: "end", utterance: utterance.id });
  }

  /**
   * Lets go of everything at once.
   * @param {{utterance: Utterance, ticks: number} | null} heard where the ear is
   * @returns {number} the last track that is to fall silent
   */
  stop(heard) {
    const track = this.#num - 1;
    this.#post({ type: "stop", track });
    this.stopped = this.live.length > 0;
    for (const utterance of this.live) {
      utterance.over = utterance.ended = true;
      utterance.cutTicks ??= heard?.utterance === utterance ? heard.ticks : 0;
    }
    return track;
  }

  /** @param {Utterance} utterance it is to stop after the word that sounds */
  stopAtWord(utterance) {
    utterance.ended = true;
    this.#post({ type: "stop-at-word", utterance: utterance.id });
  }

  /**
   * @param {NetToPage} message
   * @returns {Utterance | undefined} whose it is
   */
  receive(message) {
    const utterance = "utterance" in message ? this.utterances.find(({ id }) => id === message.utterance) : undefined;
    utterance?.receive(message);
    return utterance;
  }

  /** @param {Position} position the playing thread's report */
  follow({ dry, ended }) {
    for (const { track, offset } of dry) this.#byTrack(track)?.gaps.push(offset);
    for (const track of ended) {
      const utterance = this.#byTrack(track);
      if (utterance) utterance.over = true;
    }
  }

  /**
   * @param {{track: number, offset: number}} heard by the player's clock
   * @returns {{utterance: Utterance, ticks: number, offset: number} | null}
   */
  heard({ track, offset }) {
    const utterance = this.#byTrack(track);
    return utterance ? { utterance, ticks: utterance.ticksAt(offset), offset } : null;
  }

  /** @param {number} track */
  #byTrack(track) {
    return this.utterances.find((utterance) => utterance.track === track);
  }
}

/** Tells this page's utterances from another's in the server's log. `crypto.randomUUID` needs a secure origin. */
function sessionName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(4)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
