// @ts-check
/** The recording side of a new voice: one button, how loud it is, how much time is left. */

import { element, setText } from "./elements.js";
import { Microphone, Unheard } from "./microphone.js";
import { Take } from "./take.js";

/** @typedef {import("./i18n.js").Say} Say */
/**
 * @typedef {object} RecorderHooks
 * @property {() => number} seconds that may be recorded
 * @property {() => void} begin the old recording, and all that sounds, is to go
 * @property {(take: Take) => void} done
 * @property {(key: string) => void} fail with the sentence that says why
 * @property {Say} say the page's words
 */

export class Recorder {
  #hooks;
  /** @type {"idle" | "opening" | "recording"} */
  #state = "idle";
  /** @type {Microphone | null} */
  #microphone = null;
  /** @type {Take | null} the one under way, or the last */
  #take = null;

  /** @param {RecorderHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
    element("record", HTMLButtonElement).addEventListener("click", () => {
      if (this.#state === "recording") this.#finish();
      else if (this.#state === "idle") this.#start();
    });
    addEventListener("pagehide", () => this.cancel());
  }

  /** The microphone is open, or about to be. */
  get busy() {
    return this.#state !== "idle";
  }

  /** Lets go of the microphone, and of what it has heard. */
  cancel() {
    this.#close();
    this.#take = null;
    this.render();
  }

  /** Writes the button and the time anew. */
  render() {
    const { say, seconds } = this.#hooks;
    const recording = this.#state === "recording";
    setText("record", say(recording ? "recordStop" : this.#take ? "recordAgain" : "recordStart"));
    element("record", HTMLButtonElement).disabled = this.#state === "opening";
    element("record", HTMLButtonElement).classList.toggle("recording", recording);
    const left = Math.ceil(seconds() - (this.#take?.seconds ?? 0));
    const time = recording ? say("recordLeft", { seconds: left }) : say("recordLimit", { seconds: seconds() });
    setText("record-time", this.#state === "opening" ? say("recordOpening") : time);
    const level = recording ? (this.#take?.level ?? 0) : 0;
    // Loudness is heard by its logarithm: from 60 dB below full scale up.
    const share = Math.max(0, 1 + (20 * Math.log10(Math.max(level, 1e-6))) / 60);
    element("record-level", HTMLElement).style.width = `${Math.round(100 * share)}%`;
  }

  async #start() {
    this.#hooks.begin();
    this.#take = null;
    this.#state = "opening";
    this.render();
    try {
      const microphone = await Microphone.open({
        onsamples: (samples) => this.#heard(samples),
        onlost: () => this.#finish(),
      });
      if (this.#state !== "opening") return microphone.close(); // called off while the browser asked
      this.#microphone = microphone;
      this.#take = new Take(microphone.sampleRate, this.#hooks.seconds());
      this.#state = "recording";
    } catch (error) {
      this.#close();
      this.#hooks.fail(error instanceof Unheard ? error.key : "micBusy");
    }
    this.render();
    return undefined;
  }

  /** @param {Float32Array} samples */
  #heard(samples) {
    if (this.#state !== "recording" || !this.#take) return;
    this.#take.push(samples);
    if (this.#take.full) this.#finish();
    else this.render();
  }

  #finish() {
    if (this.#state !== "recording" || !this.#take) return;
    this.#close();
    this.render();
    this.#hooks.done(this.#take);
  }

  #close() {
    this.#microphone?.close();
    this.#microphone = null;
    this.#state = "idle";
  }
}
