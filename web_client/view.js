// @ts-check
/** The listening side: status, notices, figures, the transcript and the waveform. Shows, and decides nothing. */

import { element, setText } from "./elements.js";
import { Outage } from "./outage.js";
import { Scope } from "./scope.js";
import { Transcript } from "./transcript.js";

/** @typedef {import("./conversation.js").Conversation} Conversation */
/** @typedef {import("./player.js").Player} Player */
/** @typedef {import("./i18n.js").Say} Say */

/** @type {Record<string, "good" | "busy" | "bad">} */
const LAMPS = {
  statusConnecting: "busy", statusWaiting: "busy", statusStarting: "busy", statusPaused: "busy",
  statusBuffering: "busy", statusReconnecting: "busy",
  statusLost: "bad", statusRefused: "bad", statusUnauthorized: "bad", statusLocked: "bad",
  statusFailed: "bad",
};

/** From here on minutes are counted. */
const LONG_WAIT_MS = 120_000;

export class View {
  #conversation;
  #player;
  #say;
  #scope = new Scope(element("scope", HTMLCanvasElement));
  #transcript = new Transcript(element("transcript", HTMLElement), element("transcript-empty", HTMLElement));
  #frame = 0;

  outage = new Outage();
  paused = false;

  /**
   * @param {Conversation} conversation
   * @param {Player} player
   * @param {Say} say the page's words
   */
  constructor(conversation, player, say) {
    this.#conversation = conversation;
    this.#player = player;
    this.#say = say;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#scope.forget();
      this.render();
    });
    addEventListener("resize", () => this.render());
  }

  /** Where the ear is, by the player's clock. */
  get heard() {
    return this.#conversation.heard(this.#player.heardNow());
  }

  /** The utterance that a download is of: the latest with any sound. */
  get downloadable() {
    return this.#conversation.utterances.findLast(({ length }) => length > 0) ?? null;
  }

  /** @returns {string} the key of the sentence that tells how things stand */
  get status() {
    const { live, current, stopped } = this.#conversation;
    const { state } = this.outage;
    const isLost = this.outage.lasts(performance.now());
    if (state === "unauthorized") return "statusUnauthorized";
    if (state === "refused") return "statusRefused";
    if (live.length) {
      if (!this.#player.running) return "statusLocked";
      if (this.paused) return "statusPaused";
      if (this.#player.position?.state === "playing") return "statusSpeaking";
      if (isLost) return "statusReconnecting";
      if (this.#player.position?.wait) return "statusBuffering";
      return live.some(({ ended }) => ended) ? "statusStarting" : "statusWaiting";
    }
    if (isLost) return "statusLost";
    if (state === "connecting") return "statusConnecting";
    if (stopped) return "statusStopped";
    if (!current) return "statusReady";
    return current.missing ? "statusFailed" : "statusFinished";
  }

  /** Shows how things stand, now and, while speech is under way, at each frame. */
  render() {
    const { live, current, utterances } = this.#conversation;
    const { position, sampleRate } = this.#player;
    const { heard, status } = this;
    setText("status", this.#say(status));
    element("lamp", HTMLElement).dataset.state = LAMPS[status] ?? "good";
    element("tap-panel", HTMLElement).hidden = status !== "statusLocked";
    for (const id of ["stop", "pause"]) element(id, HTMLButtonElement).disabled = !live.length;
    setText("pause", this.#say(this.paused ? "resume" : "pause"));
    element("download", HTMLButtonElement).disabled = !this.downloadable;
    this.#showLink();
    this.#showWait(status === "statusBuffering" ? (position?.wait ?? null) : null);
    const shown = current?.length || !heard ? current : heard.utterance;
    this.#show("first-audio", shown?.firstAudioMs ?? null);
    this.#show("first-sound", shown?.firstSoundMs ?? null);
    this.#show("buffered", position && (1000 * position.buffered) / sampleRate);
    setText("underruns", String(position?.underruns ?? 0));
    this.#transcript.show(utterances, heard);
    this.#scope.draw(shown, heard?.utterance === shown ? heard.offset : 0, sampleRate);
    cancelAnimationFrame(this.#frame);
    if (live.length) this.#frame = requestAnimationFrame(() => this.render());
  }

  /** @param {import("./headstart.js").Wait | null} wait null: there is none */
  #showWait(wait) {
    element("wait", HTMLElement).hidden = !wait;
    if (!wait) return;
    const [seconds, minutes] = [1000, 60_000].map((unit) => Math.max(1, Math.ceil(wait.ms / unit)));
    setText("wait-text", this.#say(wait.ms < LONG_WAIT_MS ? "wait" : "waitLong", { seconds, minutes }));
    element("wait-progress", HTMLProgressElement).value = wait.share;
  }

  /** @param {string} message empty: none */
  showError(message) {
    element("error-notice", HTMLElement).hidden = !message;
    setText("error-notice", message);
  }

  #showLink() {
    const { live } = this.#conversation;
    const { state, buffered = 0 } = this.#player.position ?? {};
    const sounds = live.length > 0 && (state === "playing" || (this.paused && buffered > 0));
    const notice = this.outage.notice({ due: live.length > 0, sounds }, performance.now());
    element("link-notice", HTMLElement).hidden = !notice;
    setText("link-text", notice ? `${this.#say(notice.key, { origin: location.origin })} ${notice.reason}` : "");
  }

  /** @param {string} word speech goes on there, in another session; empty: there is nothing to tell */
  showRestart(word) {
    element("restart-notice", HTMLElement).hidden = !word;
    setText("restart-notice", word && this.#say("restarted", { word }));
  }

  /** On an insecure origin: what is missing, and how to get it. */
  showInsecure() {
    element("insecure-notice", HTMLElement).hidden = isSecureContext;
    const port = location.port || "80";
    const command = `ssh -L ${port}:127.0.0.1:${port} ${location.hostname}`;
    setText("insecure-notice", this.#say("insecure", { command, url: `http://localhost:${port}/` }));
  }

  /** @param {import("./messages.js").Model} model */
  showModel({ name, sample_rate: rate }) {
    element("model", HTMLElement).hidden = false;
    setText("model", `${name} · ${rate / 1000} kHz`);
  }

  /**
   * @param {string} id
   * @param {number | null} ms
   */
  #show(id, ms) {
    setText(id, ms === null ? "–" : this.#say("ms", { value: Math.round(ms) }));
  }
}
