// @ts-check
/** What the page says of a connection that is lost: nothing while there is still something to hear. Pure. */

/** @typedef {Extract<import("./messages.js").NetToPage, {type: "link"}>} Report */
/** @typedef {import("./messages.js").LinkState} LinkState */

/** A loss that is made good by then is not worth a word. */
export const PATIENCE_MS = 700;

const DOORS = /** @type {const} */ ({
  shut: "linkShut", full: "linkFull", draining: "linkDraining", starting: "linkDraining", away: "linkLost",
});

export class Outage {
  /** @type {LinkState} */
  state = "connecting";

  #since = 0;
  #reason = "";
  /** @type {import("./door.js").Door} */
  #door = "away";
  #draining = false;

  /** @param {Report} report @param {number} nowMs */
  learn({ state, reason, door }, nowMs) {
    if (state !== this.state) this.#since = nowMs;
    if (state === "ready" || state === "connecting") {
      this.#draining = false;
      this.#door = "away";
    }
    this.state = state;
    this.#door = door ?? this.#door;
    this.#reason = door ? this.#reason : (reason ?? "");
  }

  /** The server goes away; the connection still stands. */
  drain() {
    this.#draining = true;
  }

  /** @param {number} nowMs @returns {boolean} whether there has been no connection for longer than a moment */
  lasts(nowMs) {
    return this.state === "lost" && nowMs - this.#since >= PATIENCE_MS;
  }

  /**
   * @param {object} how
   * @param {boolean} how.due speech is under way
   * @param {boolean} how.sounds and can be heard
   * @param {number} nowMs
   * @returns {{key: string, reason: string} | null} the sentence's key, and what the server said
   */
  notice({ due, sounds }, nowMs) {
    const reason = this.#reason;
    if (this.state === "unauthorized") return { key: "tokenTitle", reason: "" };
    if (this.state === "refused") return { key: "linkRefused", reason };
    if (sounds) return null;
    if (this.state === "ready") return this.#draining && due ? { key: "linkDraining", reason: "" } : null;
    if (!this.lasts(nowMs)) return null;
    const known = this.#draining && this.#door === "away" ? "draining" : this.#door;
    return { key: known === "away" && due ? "linkDry" : DOORS[known], reason };
  }
}
