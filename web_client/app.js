// @ts-check
/** The page: joins the Worker, the player, the writing and the listening side, and the keys and buttons to them. */

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { saveWav } from "./download.js";
import { element, setText } from "./elements.js";
import { apply, preferred, TAGS, words } from "./i18n.js";
import { watchNetwork } from "./network.js";
import { opusSupported } from "./opus.js";
import { PATIENCE_MS } from "./outage.js";
import { Player } from "./player.js";
import { Roster } from "./roster.js";
import { toGreet } from "./sentences.js";
import { Settings } from "./settings.js";
import { keep, load } from "./store.js";
import { View } from "./view.js";
import { Voices } from "./voices.js";

/** @typedef {import("./messages.js").NetToPage} NetToPage */
/** @typedef {import("./messages.js").PageToNet} PageToNet */
/** @typedef {import("./messages.js").Ready} Ready */

const tokenDialog = element("token-dialog", HTMLDialogElement);
const uiLanguage = element("ui-language", HTMLSelectElement);

class App {
  #language = preferred([load("local", "language") ?? "", ...navigator.languages]);
  /** @type {import("./i18n.js").Say} */
  #say = (key, values) => words(this.#language, key, values);
  /** @type {Ready | null} */
  #ready = null;
  #worker = new Worker(new URL("./net.js", import.meta.url), { type: "module", name: "net" });
  #player = new Player({
    options: () => ({
      patchMs: this.#ready?.model.patch_ms,
      rtf: this.#ready?.model.rtf ?? undefined,
      targetMs: Number(load("local", "targetMs") ?? 0),
      record: new URLSearchParams(location.search).has("record"),
    }),
    attach: (port, sampleRate) => this.#post({ type: "sink", port, sampleRate }, [port]),
    onposition: (position) => this.#moved(position),
    onstate: () => this.#view.render(),
  });
  #conversation = new Conversation(
    (message) => this.#post(message),
    () => (this.#ready?.model.sample_rate ?? 0) / this.#player.sampleRate,
  );
  #view = new View(this.#conversation, this.#player, this.#say);
  #settings = new Settings(
    {
      voice: element("voice", HTMLSelectElement),
      language: element("language", HTMLSelectElement),
      codec: element("codec", HTMLSelectElement),
      speed: element("speed", HTMLInputElement),
      speedValue: element("speed-value", HTMLElement),
    },
    this.#say,
  );
  #composer = new Composer(this.#conversation, {
    // What is written while there is no connection is said when there is one again.
    ready: () => this.#ready !== null && !["refused", "unauthorized"].includes(this.#view.outage.state),
    begin: () => this.#begin(),
    heard: () => this.#view.heard,
    stop: () => this.#stop(),
    say: this.#say,
  });

  #roster = new Roster(new Voices(() => load("session", "token")), {
    learned: (listing) => {
      this.#settings.learnVoices(listing);
      this.#settings.render(TAGS[this.#language]);
    },
    choose: (voice) => this.#settings.choose(voice),
    tryOut: (voice) => {
      this.#settings.choose(voice);
      this.#composer.say(toGreet(voice.language));
    },
    quiet: () => this.#conversation.live.length && this.#stop(),
    say: this.#say,
  });

  start() {
    this.#worker.onmessage = ({ data }) => this.#receive(data);
    this.#listen();
    this.#translate();
    opusSupported().then((supported) => {
      this.#settings.allowOpus(supported);
      this.#settings.render(TAGS[this.#language]);
    });
    this.#connect();
    watchNetwork(() => this.#post({ type: "nudge" }));
    addEventListener("pagehide", () => this.#post({ type: "close" }));
    addEventListener("pageshow", ({ persisted }) => persisted && this.#connect());
    Object.assign(window, { voxwire: { tape: () => this.#player.tape(), state: () => this.#state() } });
  }

  /**
   * @param {PageToNet} message
   * @param {Transferable[]} [transfer]
   */
  #post(message, transfer = []) {
    this.#worker.postMessage(message, transfer);
  }

  #connect() {
    const url = new URL("v1/stream", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.search = url.hash = "";
    this.#post({ type: "connect", url: url.href, token: load("session", "token") ?? undefined });
  }

  /** @param {NetToPage} message */
  #receive(message) {
    const utterance = this.#conversation.receive(message);
    switch (message.type) {
      case "link":
        this.#linkChanged(message);
        break;
      case "ready":
        this.#ready = message;
        if (message.resumed) break;
        this.#settings.learn(message);
        this.#settings.render(TAGS[this.#language]);
        this.#view.showModel(message.model);
        this.#roster.learn(message.model.languages ?? []);
        this.#roster.refresh();
        break;
      case "error":
        if (message.code !== "unauthorized") this.#view.showError(message.message);
        break;
      case "done":
        if (!utterance) break;
        this.#composer.finished(utterance, message);
        break;
      case "drain":
        this.#view.outage.drain();
        break;
      case "restarted":
        if (utterance) this.#view.showRestart(utterance.captions.wordAt(message.text_start));
        break;
      case "wav":
        if (message.file) saveWav(message.file);
        else this.#view.showError(this.#say("noDownload"));
        break;
    }
    this.#view.render();
  }

  /** @param {Extract<NetToPage, {type: "link"}>} report */
  #linkChanged(report) {
    const { state } = report;
    this.#view.outage.learn(report, performance.now());
    if (state === "lost") setTimeout(() => this.#view.render(), PATIENCE_MS + 50); // clocks are coarse
    if (state === "ready") this.#player.mend();
    if (state === "refused" || state === "unauthorized") this.#composer.letGo();
    if (state !== "unauthorized") return;
    setText("token-error", load("session", "token") ? this.#say("tokenWrong") : "");
    keep("session", "token", null);
    if (!tokenDialog.open) tokenDialog.showModal();
  }

  #listen() {
    // Any touch of the page is the gesture that a browser wants to see before it lets sound out; Escape is none.
    for (const gesture of ["keydown", "pointerup"]) {
      document.addEventListener(gesture, (event) => {
        if (event instanceof KeyboardEvent && event.key === "Escape") return;
        if (this.#view.outage.state === "resting") this.#post({ type: "wake" }); // something may be said in a moment
        this.#unlock();
      }, true);
    }
    document.addEventListener("keydown", (event) => this.#shortcut(event));
    const actions = {
      speak: () => this.#composer.speak(),
      stop: () => this.#stop(),
      pause: () => this.#pause(!this.#view.paused),
      replay: () => this.#composer.replay(),
      retry: () => this.#post({ type: "retry" }),
      tap: () => this.#unlock(),
      hurry: () => this.#player.hurry(),
      download: () => {
        const { downloadable } = this.#view;
        if (downloadable) this.#post({ type: "wav", utterance: downloadable.id });
      },
    };
    for (const [id, act] of Object.entries(actions)) element(id, HTMLButtonElement).addEventListener("click", act);
    element("codec", HTMLSelectElement).addEventListener("change", () => {
      if (this.#conversation.live.length) this.#composer.note("codecNext");
    });
    element("pause", HTMLButtonElement).addEventListener("click", ({ detail }) => {
      // A mouse goes back to writing; the keyboard stays where it is, and a finger wants no keyboard on its screen.
      if (detail && matchMedia("(pointer: fine)").matches) this.#composer.focus();
    });
    uiLanguage.addEventListener("change", () => {
      this.#language = preferred([uiLanguage.value]);
      keep("local", "language", this.#language);
      this.#translate();
    });
    element("token-form", HTMLFormElement).addEventListener("submit", () => {
      const field = element("token", HTMLInputElement);
      keep("session", "token", field.value);
      field.value = "";
      this.#connect();
    });
  }

  /** @param {KeyboardEvent} event */
  #shortcut(event) {
    if (document.querySelector("dialog[open]") || event.isComposing) return;
    const target = event.target instanceof HTMLElement ? event.target : document.body;
    if (event.key === "Escape") this.#stop();
    if (event.key !== " " || target.closest("textarea, input, select, button, summary, audio, #transcript")) return;
    if (!this.#conversation.live.length) return;
    event.preventDefault();
    this.#pause(!this.#view.paused);
  }

  #unlock() {
    try {
      if (this.#view.outage.state === "ready") this.#player.mend();
      // A newly chosen rate needs a new context, and waits until nothing sounds in the old one.
      if (this.#conversation.live.length && this.#player.sampleRate) this.#player.wake();
      else this.#player.unlock(this.#settings.sampleRate);
    } catch (error) {
      this.#view.showError(this.#say("cannotPlay", { message: error instanceof Error ? error.message : String(error) }));
    }
  }

  /** Opens an utterance with the settings as they are. */
  #begin() {
    this.#unlock();
    this.#view.showError("");
    this.#view.showRestart("");
    this.#pause(false);
    return this.#conversation.start(this.#settings.forStart(this.#player.sampleRate));
  }

  /** Barge-in: silence first, then all the rest. */
  #stop() {
    this.#player.stop(this.#conversation.stop(this.#view.heard));
    this.#composer.letGo();
    this.#pause(false);
    this.#view.render();
  }

  /** @param {boolean} paused */
  #pause(paused) {
    if (paused === this.#view.paused || (paused && !this.#conversation.live.length)) return;
    this.#view.paused = paused;
    this.#player.pause(paused);
    this.#view.render();
  }

  /** @param {import("./messages.js").Position} position */
  #moved(position) {
    this.#conversation.follow(position);
    if (position.ended.length) this.#view.showRestart("");
    if (position.ended.length) keep("local", "targetMs", String(Math.round(position.targetMs)));
    this.#view.render();
  }

  #translate() {
    document.documentElement.lang = TAGS[this.#language];
    document.title = this.#say("title");
    uiLanguage.value = this.#language;
    apply(document, this.#language);
    this.#settings.render(TAGS[this.#language]);
    this.#view.showInsecure();
    this.#view.render();
    this.#composer.render();
    this.#roster.render(TAGS[this.#language]);
  }

  /** For tests and the curious. */
  #state() {
    const { position, sampleRate, running, plain, frame } = this.#player;
    const { outage, status, heard } = this.#view;
    const utterances = this.#conversation.utterances.map(({ captions, outline: _, ...rest }) => ({ ...rest, text: captions.text }));
    const ear = heard && { utterance: heard.utterance.id, ticks: heard.ticks };
    return { link: outage.state, status, sampleRate, running, plain, frame, position, heard: ear, utterances };
  }
}

new App().start();
