// @ts-check
/** Voice, language, speed and codec: filled from the server's word, remembered by this browser. */

import { nameOf, primary } from "./languages.js";
import { keep, load } from "./store.js";

/** @typedef {import("./messages.js").Ready} Ready */
/** @typedef {import("./messages.js").AudioFormat} AudioFormat */
/** @typedef {import("./voices.js").Voice} Voice */
/** @typedef {import("./voices.js").Listing} Listing */
/** @typedef {import("./i18n.js").Say} Say */
/**
 * @typedef {object} Fields
 * @property {HTMLSelectElement} voice
 * @property {HTMLSelectElement} language
 * @property {HTMLSelectElement} codec
 * @property {HTMLInputElement} speed
 * @property {HTMLElement} speedValue
 */

const OPUS_RATE = 48000;
const OPUS_BITRATES = [16000, 32000, 64000];

export class Settings {
  #fields;
  #say;
  /** @type {Ready | null} */
  #ready = null;
  /** @type {Voice[]} */
  #voices = [];
  #defaultVoice = "";
  #opus = false;
  #opusServed = true; // until the server says otherwise
  #names = new Intl.DisplayNames(["en"], { type: "language", fallback: "code" });
  /** @type {Record<string, string>} */
  #kept;

  /**
   * @param {Fields} fields
   * @param {Say} say the page's words
   */
  constructor(fields, say) {
    this.#fields = fields;
    this.#say = say;
    this.#kept = kept();
    fields.speed.value = this.#kept.speed ?? "1";
    for (const name of /** @type {const} */ (["voice", "language", "codec", "speed"])) {
      fields[name].addEventListener("input", () => this.#keep(name));
    }
    this.render("en");
  }

  /** Hz that speech is to be played at. */
  get sampleRate() {
    return this.#bitrate ? OPUS_RATE : (this.#ready?.model.sample_rate ?? 44100);
  }

  get #bitrate() {
    return Number(this.#fields.codec.value.split("-")[1] ?? 0);
  }

  /** @param {boolean} supported whether this browser decodes Opus */
  allowOpus(supported) {
    this.#opus = supported;
  }

  /** @param {Ready} ready */
  learn(ready) {
    this.#ready = ready;
    this.#opusServed = ready.audio.codec === "opus"; // which the link asked for
    this.#defaultVoice ||= ready.voice;
  }

  /** @param {Listing} listing */
  learnVoices({ default: name, voices }) {
    this.#defaultVoice = name;
    this.#voices = voices;
  }

  /** @param {Voice} voice to be spoken with from now on; a language that is not its own gives way */
  choose({ name, language }) {
    this.#kept.voice = name;
    const { value } = this.#fields.language;
    if (value !== "auto" && primary(value) !== primary(language)) this.#kept.language = "auto";
    choose(this.#fields.language, this.#kept.language, "auto");
    this.#renderVoices(this.#names);
    this.#remember();
  }

  /**
   * What an utterance is started with.
   * @param {number} sampleRate Hz at which the device runs
   */
  forStart(sampleRate) {
    const { voice, language, speed } = this.#fields;
    const opus = this.#bitrate && sampleRate === OPUS_RATE;
    /** @type {AudioFormat} */
    const audio = opus
      ? { codec: "opus", sample_rate: OPUS_RATE, bitrate: this.#bitrate, frame_ms: 20 }
      : { codec: "pcm_s16le", sample_rate: sampleRate };
    return { voice: voice.value || undefined, language: language.value, speed: Number(speed.value), audio };
  }

  /** @param {string} tag the page's language, for the names of languages */
  render(tag) {
    const { language, codec, speed } = this.#fields;
    const names = (this.#names = new Intl.DisplayNames([tag], { type: "language", fallback: "code" }));
    const codes = (this.#ready?.model.languages ?? []).filter((code) => code !== "auto" && code !== "*");
    language.replaceChildren(
      new Option(this.#say("auto"), "auto"),
      ...codes.map((code) => new Option(nameOf(names, code), code)).sort((one, other) => one.text.localeCompare(other.text, tag)),
    );
    const rate = ((this.#ready?.model.sample_rate ?? 44100) / 1000).toString();
    codec.replaceChildren(new Option(this.#say("codecPcm", { rate }), "pcm"));
    if (this.#opus && this.#opusServed) {
      codec.append(...OPUS_BITRATES.map((bitrate) => new Option(this.#say("codecOpus", { rate: bitrate / 1000 }), `opus-${bitrate}`)));
    }
    choose(codec, this.#kept.codec, "pcm");
    choose(language, this.#kept.language, "auto");
    this.#renderVoices(names);
    speed.disabled = (this.#ready?.model.controls?.speed ?? "none") === "none";
    this.#showSpeed();
  }

  /** @param {Intl.DisplayNames} names of languages */
  #renderVoices(names) {
    const { voice, language } = this.#fields;
    const all = language.value === "auto";
    const fitting = this.#voices.filter((item) => all || primary(item.language) === primary(language.value));
    voice.replaceChildren(
      new Option(all && this.#defaultVoice ? `${this.#say("auto")} (${this.#defaultVoice})` : this.#say("auto"), ""),
      ...[...byLanguage(fitting)].map(([code, voices]) => {
        const group = document.createElement("optgroup");
        group.label = nameOf(names, code);
        group.append(...voices.map((item) => new Option(item.name, item.name)));
        return group;
      }),
    );
    choose(voice, this.#kept.voice, "");
  }

  #showSpeed() {
    this.#fields.speedValue.textContent = `${Number(this.#fields.speed.value).toFixed(2)}×`;
  }

  /** @param {"voice" | "language" | "codec" | "speed"} name */
  #keep(name) {
    this.#kept[name] = this.#fields[name].value;
    this.#showSpeed();
    if (name === "language") this.#renderVoices(this.#names);
    this.#remember();
  }

  #remember() {
    keep("local", "settings", JSON.stringify(this.#kept));
  }
}

/** @returns {Record<string, string>} what this browser remembers */
function kept() {
  try {
    const found = JSON.parse(load("local", "settings") ?? "{}");
    return typeof found === "object" && found !== null ? found : {};
  } catch {
    return {};
  }
}

/**
 * @param {HTMLSelectElement} select
 * @param {string | undefined} wanted
 * @param {string} otherwise
 */
function choose(select, wanted, otherwise) {
  const values = [...select.options].map((option) => option.value);
  select.value = wanted !== undefined && values.includes(wanted) ? wanted : otherwise;
  if (select.selectedIndex < 0) select.selectedIndex = 0;
}

/** @param {Voice[]} voices @returns {Map<string, Voice[]>} in the order given */
function byLanguage(voices) {
  const groups = new Map();
  for (const voice of voices) groups.set(voice.language, [...(groups.get(voice.language) ?? []), voice]);
  return groups;
}
