// @ts-check
/** The connection's life: hello, ready, keep-alive, and a fresh session after a loss. Speech itself is not known here. */

import { decode, encode, SUBPROTOCOL, WireFault } from "./wire.js";

/** @typedef {import("./messages.js").ClientMessage} ClientMessage */
/** @typedef {import("./messages.js").ServerMessage} ServerMessage */
/** @typedef {import("./messages.js").LinkState} LinkState */
/**
 * @typedef {object} LinkReport
 * @property {LinkState} state
 * @property {number} [retryMs]
 * @property {string} [reason]
 * @property {boolean} [shut] the server is there, but no WebSocket opens: our origin is refused, or a proxy stands between
 */

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
const PING_MS = 10_000;
const SILENCE_MS = 25_000;
const LOOK_MS = 2_000;
const REPLACED = 4409;
const NOT_SPOKEN_HERE = 4400;

export class Link {
  #onmessage;
  #onreport;
  /** @type {WebSocket | null} */
  #socket = null;
  #url = "";
  /** @type {string | undefined} */
  #token;
  #ready = false;
  #opened = false;
  #shut = false;
  #attempts = 0;
  #lastHeard = 0;
  /** @type {import("./messages.js").WireError | null} a fatal error, said before the close */
  #fatal = null;
  #timer = 0;

  /**
   * @param {(message: ServerMessage) => void} onmessage
   * @param {(report: LinkReport) => void} onreport "ready" follows the `ready` message
   */
  constructor(onmessage, onreport) {
    this.#onmessage = onmessage;
    this.#onreport = onreport;
  }

  /**
   * @param {string} url
   * @param {string} [token] the server's API key
   */
  connect(url, token) {
    this.#url = url;
    this.#token = token;
    this.retry();
  }

  /** Tries at once, whatever wait was under way. */
  retry() {
    this.#drop();
    this.#onreport({ state: "connecting" });
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#opened = true;
      this.#shut = false;
      // Opus is asked for to learn whether it is served; what an utterance is sent as, its start says.
      this.#send({ type: "hello", version: 1, client: "voxwire web", token: this.#token, audio: { codec: "opus" } });
      this.#lastHeard = performance.now();
      this.#timer = setInterval(() => this.#keepAlive(), PING_MS);
    };
    socket.onmessage = ({ data }) => this.#receive(data);
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#socket = socket;
  }

  /**
   * @param {ClientMessage} message
   * @returns {boolean} false if there is no session to send it to
   */
  send(message) {
    if (!this.#ready) return false;
    this.#send(message);
    return true;
  }

  /** Says goodbye; the server forgets the session. */
  close() {
    this.send({ type: "close" });
    this.#drop();
  }

  /** @param {ClientMessage} message */
  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(encode(message));
  }

  /** @param {unknown} data */
  #receive(data) {
    this.#lastHeard = performance.now();
    try {
      if (!(data instanceof ArrayBuffer)) throw new WireFault("expected a binary message, got text");
      const message = decode(data);
      if (!message) return;
      if (message.type === "ready") {
        this.#ready = true;
        this.#attempts = 0;
      }
      if (message.type === "error" && message.fatal) this.#fatal = message;
      this.#onmessage(message);
      if (message.type === "ready") this.#onreport({ state: "ready" });
    } catch (error) {
      if (!(error instanceof WireFault)) throw error;
      this.#onmessage({ type: "error", code: "bad_message", message: error.message });
    }
  }

  #keepAlive() {
    if (performance.now() - this.#lastHeard > SILENCE_MS) this.#lost(1006, "");
    else this.send({ type: "ping" });
  }

  /**
   * @param {number} code
   * @param {string} reason
   */
  #lost(code, reason) {
    const fatal = this.#fatal;
    const opened = this.#opened;
    this.#drop();
    const said = fatal?.message || reason;
    if (fatal?.code === "unauthorized") return this.#onreport({ state: "unauthorized", reason: said });
    const final = ["unsupported_version", "forbidden_origin"].includes(fatal?.code ?? "");
    if (final || code === REPLACED || code === NOT_SPOKEN_HERE || code === 1008) {
      return this.#onreport({ state: "refused", reason: said });
    }
    const ceiling = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#attempts++);
    const retryMs = fatal?.retry_after_ms ?? Math.round(ceiling * (0.5 + Math.random() / 2));
    this.#timer = setTimeout(() => this.retry(), retryMs);
    this.#onreport({ state: "lost", retryMs, reason: said, shut: this.#shut });
    if (!opened && !this.#shut) this.#lookForServer();
  }

  /**
   * A browser does not tell why a WebSocket did not open. That plain HTTP is answered tells enough, but not by a server
   * that drains or starts: it opens none either.
   */
  async #lookForServer() {
    const attempt = this.#attempts;
    try {
      const { ok } = await fetch(new URL("../readyz", this.#url.replace(/^ws/, "http")), { signal: AbortSignal.timeout(LOOK_MS) });
      if (!ok || this.#opened || attempt !== this.#attempts) return;
    } catch {
      return;
    }
    this.#shut = true;
    if (!this.#socket) this.#onreport({ state: "lost", shut: true });
  }

  #drop() {
    clearTimeout(this.#timer);
    clearInterval(this.#timer);
    this.#ready = this.#opened = false;
    this.#fatal = null;
    if (!this.#socket) return;
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}
