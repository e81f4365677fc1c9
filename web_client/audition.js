// @ts-check
/** The form in which a voice is offered to the server: its sample, recorded or uploaded, and what there is to say of it. */

import { element, setText } from "./elements.js";
import { nameOf } from "./languages.js";
import { Recorder } from "./recorder.js";
import { toRead } from "./sentences.js";
import { lacking, rounded } from "./submission.js";
import { Refusal } from "./voices.js";

/** @typedef {import("./voices.js").Added} Added */
/** @typedef {import("./voices.js").SampleLimits} SampleLimits */
/** @typedef {import("./submission.js").Sample} Sample */
/** @typedef {import("./submission.js").Submission} Submission */
/** @typedef {import("./i18n.js").Say} Say */
/** @typedef {{text: string} | {key: string, values?: Record<string, number>}} Complaint the server's, or the page's */
/**
 * @typedef {object} AuditionHooks
 * @property {(submission: Submission, signal: AbortSignal) => Promise<Added>} send
 * @property {(added: Added) => void} added
 * @property {() => void} closed without one
 * @property {() => void} quiet silences what the page speaks
 * @property {Say} say the page's words
 */

/** Until the server tells its own. @type {SampleLimits} */
const USUAL_LIMITS = { bytes: 10 * 2 ** 20, seconds: 30 };

export class Audition {
  #hooks;
  #form = element("voice-form", HTMLFormElement);
  #language = element("voice-language", HTMLSelectElement);
  #transcript = element("voice-transcript", HTMLTextAreaElement);
  #licence = element("voice-licence", HTMLInputElement);
  #file = element("voice-file", HTMLInputElement);
  #playback = element("voice-playback", HTMLAudioElement);
  #recorder;
  #limits = USUAL_LIMITS;
  /** @type {Sample | null} */
  #sample = null;
  /** @type {AbortController | null} of what is being sent */
  #sending = null;
  /** The sentence that the page put in as transcript, so that it may take it out again. */
  #suggested = "";
  #usualLicence = "";
  /** @type {Complaint | null} */
  #error = null;

  /** @param {AuditionHooks} hooks */
  constructor(hooks) {
    this.#hooks = hooks;
    this.#recorder = new Recorder({
      seconds: () => this.#limits.seconds,
      begin: () => {
        hooks.quiet();
        this.#take(null);
      },
      done: (take) => {
        this.#take({ file: new Blob([take.file()], { type: "audio/wav" }), name: "recording.wav", seconds: take.seconds });
        setText("voice-sample-note", take.fault ? hooks.say(take.fault) : "");
      },
      fail: (key) => this.#fail({ key }),
      say: hooks.say,
    });
    for (const id of ["voice-by-recording", "voice-by-upload"]) {
      element(id, HTMLInputElement).addEventListener("change", () => this.#changeSource());
    }
    this.#language.addEventListener("change", () => this.#suggest());
    this.#file.addEventListener("change", () => this.#upload(this.#file.files?.[0] ?? null));
    this.#playback.addEventListener("play", () => hooks.quiet());
    this.#playback.addEventListener("loadedmetadata", () => this.#measure());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    element("voice-cancel", HTMLButtonElement).addEventListener("click", () => {
      this.close();
      hooks.closed();
    });
  }

  get #recording() {
    return element("voice-by-recording", HTMLInputElement).checked;
  }

  /** @param {SampleLimits | undefined} limits the server's */
  learn(limits) {
    this.#limits = limits ?? USUAL_LIMITS;
  }

  open() {
    this.#form.hidden = false;
    this.#changeSource();
    element("voice-name", HTMLInputElement).focus();
  }

  /** Nobody looks any more: nothing is recorded or played unseen. */
  hush() {
    if (this.#recorder.busy) this.#recorder.cancel();
    this.#playback.pause();
  }

  /** What is being sent is called off; a server that has it already lists it at the next look. */
  close() {
    this.#sending?.abort();
    this.#send(null);
    this.#form.hidden = true;
    this.#recorder.cancel();
    this.#take(null);
    this.#form.reset();
    this.#suggested = this.#usualLicence = "";
    this.#fail(null);
  }

  /**
   * Writes the form's words anew.
   * @param {string} tag the page's language
   * @param {string[]} languages the model's
   */
  render(tag, languages) {
    const { say } = this.#hooks;
    const names = new Intl.DisplayNames([tag], { type: "language", fallback: "code" });
    const chosen = this.#language.value || tag.slice(0, 2);
    this.#language.replaceChildren(...languages.map((code) => new Option(nameOf(names, code), code)));
    this.#language.value = chosen;
    if (this.#language.selectedIndex < 0) this.#language.selectedIndex = 0;
    if (this.#licence.value === this.#usualLicence) this.#licence.value = say("voiceLicenceUsual");
    this.#usualLicence = say("voiceLicenceUsual");
    setText("voice-file-label", say("voiceFile", { megabytes: rounded(this.#limits.bytes), seconds: this.#limits.seconds }));
    this.#showSending();
    this.#recorder.render();
    this.#suggest();
    this.#showError();
  }

  #changeSource() {
    element("voice-recording", HTMLElement).hidden = !this.#recording;
    element("voice-upload", HTMLElement).hidden = this.#recording;
    this.#recorder.cancel();
    this.#file.value = "";
    this.#take(null);
    this.#fail(null);
    this.#suggest();
  }

  /** Shows the sentence to read, and takes it for the transcript as long as nobody has written another. */
  #suggest() {
    const language = this.#language.value;
    const sentence = toRead(language);
    setText("voice-read", this.#hooks.say(sentence ? "voiceRead" : "voiceReadAny"));
    setText("voice-sentence", sentence);
    element("voice-sentence", HTMLElement).hidden = !sentence;
    element("voice-sentence", HTMLElement).lang = this.#transcript.lang = language;
    if (this.#transcript.value !== this.#suggested) return;
    this.#transcript.value = this.#suggested = this.#recording ? sentence : "";
  }

  /** @param {Sample | null} sample to be listened to and sent */
  #take(sample) {
    this.#sample = sample;
    setText("voice-sample-note", "");
    if (this.#playback.src) URL.revokeObjectURL(this.#playback.src);
    this.#playback.removeAttribute("src");
    this.#playback.load();
    element("voice-listen", HTMLElement).hidden = !sample;
    if (!sample) return;
    this.#playback.src = URL.createObjectURL(sample.file);
    this.#fail(null);
  }

  /** @param {File | null} file */
  #upload(file) {
    this.#take(file && { file, name: file.name });
    this.#checkSample();
  }

  /** The sample is ready to be listened to, so that its length is known, without decoding all of it. */
  #measure() {
    const { duration } = this.#playback;
    if (!this.#sample || this.#sample.seconds !== undefined || !Number.isFinite(duration)) return;
    this.#sample = { ...this.#sample, seconds: duration };
    this.#checkSample();
  }

  #checkSample() {
    const lack = lacking(this.#submission(), this.#limits);
    if (!this.#sample || lack?.field !== "sample") return;
    this.#fail(lack);
    element("voice-error", HTMLElement).scrollIntoView({ block: "nearest" }); // on a phone it is far below
  }

  /** @returns {Submission} */
  #submission() {
    return {
      name: element("voice-name", HTMLInputElement).value,
      language: this.#language.value,
      transcript: this.#transcript.value,
      licence: this.#licence.value,
      consent: element("voice-consent", HTMLInputElement).checked,
      sample: this.#sample,
    };
  }

  async #submit() {
    if (this.#sending) return;
    const submission = this.#submission();
    const lack = lacking(submission, this.#limits);
    this.#fail(lack);
    if (lack) return this.#pointAt(lack.field);
    const sending = new AbortController();
    this.#send(sending);
    try {
      const added = await this.#hooks.send(submission, sending.signal);
      if (this.#sending !== sending) return undefined; // called off, and maybe another form is open
      this.close();
      this.#hooks.added(added);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (this.#sending === sending) this.#fail(error.message ? { text: error.message } : { key: "voiceUnreachable" });
    } finally {
      if (this.#sending === sending) this.#send(null);
    }
    return undefined;
  }

  /** @param {AbortController | null} sending */
  #send(sending) {
    this.#sending = sending;
    this.#showSending();
  }

  #showSending() {
    // Not disabled: the keyboard's place in the page would be lost.
    element("voice-send", HTMLButtonElement).ariaDisabled = String(this.#sending !== null);
    setText("voice-send", this.#hooks.say(this.#sending ? "voiceSending" : "voiceSend"));
  }

  /** @param {import("./submission.js").Lack["field"]} field what is to be mended */
  #pointAt(field) {
    const sample = this.#recording ? "record" : "voice-file";
    const target = element(field === "sample" ? sample : `voice-${field}`, HTMLElement);
    target.ariaInvalid = "true";
    target.focus();
  }

  /** @param {Complaint | null} error none: all is well so far */
  #fail(error) {
    this.#error = error;
    for (const field of this.#form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    this.#showError();
  }

  #showError() {
    const error = this.#error;
    setText("voice-error", !error ? "" : "text" in error ? error.text : this.#hooks.say(error.key, error.values));
  }
}
