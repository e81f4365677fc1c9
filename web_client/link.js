// @ts-check
/**
 * The connection's life: hello, ready, keep-alive, and another connection after a loss, on which the session is resumed
 * so that nothing is lost or comes twice. Speech itself is not known here.
 */

import { Backoff } from "./backoff.js";
import { lookAtDoor } from "./door.js";
import { isCounted, Journal, OrderFault } from "./journal.js";
import { Vigil } from "./vigil.js";
import { decode, encode, SUBPROTOCOL, WireFault } from "./wire.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").ServerMessage} ServerMessage */
/** @typedef {import("./messages.js").LinkState} LinkState */
/**
 * @typedef {object} LinkReport
 * @property {LinkState} state
 * @property {number} [retryMs]
 * @property {string} [reason]
 * @property {import("./door.js").Door} [door] why no connection opens, as far as the server tells
 */
/**
 * @typedef {object} Hooks
 * @property {(message: ServerMessage) => void} receive news; a `ready` that is not `resumed` is of another session
 * @property {(report: LinkReport) => void} report "ready" follows the `ready` message
 * @property {(utterance: string, sentence: string) => void} fault of the server, in one utterance
 * @property {() => boolean} expecting whether speech is under way
 * @property {() => boolean} busy whether there is something to say, or to hear
 */
/**
 * @typedef {object} World what the link needs of its surroundings
 * @property {(url: string) => WebSocket} open
 * @property {() => number} now ms
 * @property {() => number} random 0 to 1
 * @property {(act: () => void, ms: number) => number} later
 * @property {(timer: number) => void} forget
 * @property {typeof lookAtDoor} look
 */

/** A connection that is not ready by then is given up. */
const READY_MS = 6_000;
const LOOK_MS = 500;
/** A connection that has held for so long was a good one. */
const STABLE_MS = 5_000;
/** An attempt this old is not waited for when the network has changed. */
const FRESH_MS = 1_000;
const POLICY = 1008;
const EARLY_FAULT = 4400;
const TIMED_OUT = 4408;
const REPLACED = 4409;
const FINAL = ["unsupported_version", "forbidden_origin"];

/** @type {World} */
const BROWSER = {
  open: (url) => new WebSocket(url, SUBPROTOCOL),
  now: () => performance.now(),
  random: Math.random,
  later: (act, ms) => setTimeout(act, ms),
  forget: (timer) => clearTimeout(timer),
  look: lookAtDoor,
};

export class Link {
  /** The server is going away: it takes no new utterance. */
  draining = false;
  /** Counts the sessions. */
  session = 0;

  #hooks;
  #world;
  #backoff;
  #journal = new Journal();
  #vigil = new Vigil(0);
  #url = "";
  /** @type {string | undefined} the server's API key */
  #token;
  /** @type {{session: string, token: string} | null} to resume by */
  #resume = null;
  /** @type {WebSocket | null} */
  #socket = null;
  #opened = false;
  #ready = false;
  /** When the socket was made, and when it was ready. */
  #madeAt = 0;
  #readyAt = Infinity;
  /** @type {import("./messages.js").WireError | null} a fatal error, said before the close */
  #fatal = null;
  /** For the next attempt, for `ready`, or for the next look at the silence. */
  #timer = 0;
  #looking = false;
  /** The server has closed a connection on which nothing was said. */
  #resting = false;

  /**
   * @param {Hooks} hooks
   * @param {World} [world]
   */
  constructor(hooks, world = BROWSER) {
    this.#hooks = hooks;
    this.#world = world;
    this.#backoff = new Backoff(world.random);
  }

  /** Whether there is a session, on a connection that is not known to be lost. */
  get ready() {
    return this.#ready;
  }

  /**
   * @param {string} url
   * @param {string} [token] the server's API key
   */
  connect(url, token) {
    this.#url = url;
    this.#token = token;
    this.#hooks.report({ state: "connecting" });
    this.retry();
  }

  /** There is something to say: a link that rests connects. */
  wake() {
    if (this.#resting) this.retry();
  }

  /** Tries at once, whatever wait was under way. */
  retry() {
    this.#backoff.reset();
    this.#open();
  }

  /** The network may have changed: a connection that stands is doubted, another one tried at once. */
  nudge() {
    if (this.#ready) {
      this.#vigil.doubt();
      this.#keepWatch();
    } else if (this.#url && (!this.#socket ? this.#timer : this.#world.now() - this.#madeAt > FRESH_MS)) this.retry();
  }

  /**
   * @param {ClientMessage} message one that counts is kept, and goes out with the next resume if it cannot now
   * @returns {boolean} whether it went out
   */
  send(message) {
    if (isCounted(message)) this.#journal.give(message);
    if (this.#ready) this.#transmit(message);
    return this.#ready;
  }

  /** Says goodbye; the server forgets the session. */
  close() {
    this.send({ type: "close" });
    this.#forgetSession();
    this.#drop();
  }

  #open() {
    this.#drop();
    this.#resting = false;
    const socket = this.#world.open(this.#url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#greet();
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
    this.#madeAt = this.#world.now();
    this.#timer = this.#world.later(() => this.#lost(1006, ""), READY_MS);
  }

  #greet() {
    this.#opened = true;
    const resume = this.#resume ? { ...this.#resume, received: this.#journal.received } : undefined;
    // Opus is asked for to learn whether it is served; what an utterance is sent as, its start says.
    this.#transmit({ type: "hello", version: 1, client: "voxwire web", token: this.#token, audio: { codec: "opus" }, resume });
  }

  /** @param {ClientMessage} message */
  #transmit(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(encode(message));
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#vigil.heard(this.#world.now());
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireFault("expected a binary message, got text");
      const message = decode(data);
      if (message) this.#take(message);
    } catch (error) {
      if (error instanceof OrderFault) return this.#hooks.fault(error.utterance, error.message);
      if (!(error instanceof WireFault)) throw error;
      this.#hooks.receive({ type: "error", code: "bad_message", message: error.message });
    }
  }

  /** @param {ServerMessage} message */
  #take(message) {
    switch (message.type) {
      case "ready":
        return this.#begin(message);
      case "pong":
        return undefined;
      case "drain":
        this.draining = true;
        return this.#hooks.receive(message);
    }
    if (message.type === "error" && message.code === "resume_failed") return this.#forgetSession();
    if (message.type === "error" && message.fatal) {
      this.#fatal = message; // told with the loss that follows
      return undefined;
    }
    if (!this.#journal.take(message)) return undefined;
    this.#backoff.reset(); // this connection is of use
    return this.#hooks.receive(message);
  }

  /** @param {import("./messages.js").Ready} ready */
  #begin(ready) {
    const again = this.#journal.ready(ready);
    if (!ready.resumed) this.session += 1;
    this.#resume = ready.resume_token ? { session: ready.session, token: ready.resume_token } : null;
    this.#ready = true;
    this.draining &&= Boolean(ready.resumed) && ready.resume !== "shared"; // it may be another server
    this.#readyAt = this.#world.now();
    this.#vigil = new Vigil(this.#readyAt);
    this.#keepWatch();
    for (const message of again) this.#transmit(message);
    this.#hooks.receive(ready);
    this.#hooks.report({ state: "ready" });
  }

  #keepWatch() {
    this.#world.forget(this.#timer);
    const seen = this.#vigil.look(this.#world.now(), this.#hooks.expecting());
    if (seen === "lost") return this.#lost(1006, "");
    if (seen === "ask") this.send({ type: "ping" });
    this.#timer = this.#world.later(() => this.#keepWatch(), LOOK_MS);
    return undefined;
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    const fatal = this.#fatal;
    const opened = this.#opened;
    if (this.#world.now() - this.#readyAt > STABLE_MS) this.#backoff.reset();
    this.#drop();
    const said = fatal?.message || reason;
    const outcome = this.#outcome(code, fatal?.code ?? "");
    this.#resting = outcome === "resting";
    if (outcome !== "lost") {
      this.#forgetSession();
      return this.#hooks.report({ state: outcome, reason: said });
    }
    const retryMs = this.#backoff.next(fatal?.retry_after_ms ?? 0);
    this.#timer = this.#world.later(() => this.#open(), retryMs);
    this.#hooks.report({ state: "lost", retryMs, reason: said });
    if (!opened) this.#lookAtDoor();
    return undefined;
  }

  /** @param {number} code of the close @param {string} fault @returns {Exclude<LinkState, "connecting" | "ready">} */
  #outcome(code, fault) {
    if (fault === "unauthorized") return "unauthorized";
    if (FINAL.includes(fault) || code === REPLACED || code === POLICY) return "refused";
    if (code === TIMED_OUT && !this.#hooks.busy()) return "resting";
    // A hello that came too late is no fault of its own; one that cannot be resumed with is given up.
    if (code !== EARLY_FAULT || fault === "bad_state") return "lost";
    if (!this.#resume) return "refused";
    this.#forgetSession();
    return "lost";
  }

  async #lookAtDoor() {
    if (this.#looking) return;
    this.#looking = true;
    const door = await this.#world.look(this.#url, this.#token);
    this.#looking = false;
    if (!this.#opened) this.#hooks.report({ state: "lost", door });
  }

  #forgetSession() {
    this.#resume = null;
    this.#journal.abandon();
  }

  #drop() {
    this.#world.forget(this.#timer);
    this.#timer = 0;
    this.#ready = this.#opened = false;
    this.#readyAt = Infinity;
    this.#fatal = null;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}
