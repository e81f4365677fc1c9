// @ts-check
/** One recording from the microphone: 16-bit samples, how loud they are, and the WAV file of them. Pure. */

import { wavFile } from "./wav.js";

/** Full scale is 1. Below this loudest sample nobody has spoken. */
const SILENCE = 0.01;
/** How many samples at full scale show that the microphone was too loud. */
const CLIPPED = 32;

export class Take {
  /** Samples kept. */
  length = 0;
  /** The loudest of the latest samples, 0 to 1. */
  level = 0;

  #rate;
  #room;
  /** @type {Int16Array[]} */
  #chunks = [];
  #loudest = 0;
  #clipped = 0;

  /**
   * @param {number} sampleRate Hz
   * @param {number} seconds what it holds at most
   */
  constructor(sampleRate, seconds) {
    this.#rate = sampleRate;
    this.#room = Math.floor(seconds * sampleRate);
  }

  get seconds() {
    return this.length / this.#rate;
  }

  /** Nothing more goes in. */
  get full() {
    return this.length >= this.#room;
  }

  /** @returns {"voiceSilent" | "voiceClipped" | null} the key of the sentence that tells what is wrong with its sound */
  get fault() {
    if (this.#loudest < SILENCE) return "voiceSilent";
    return this.#clipped >= CLIPPED ? "voiceClipped" : null;
  }

  /** @param {Float32Array} samples -1 to 1; what does not fit is dropped */
  push(samples) {
    const kept = Int16Array.from(samples.subarray(0, this.#room - this.length), (value) =>
      Math.max(-32768, Math.min(32767, Math.round(value * 32768))),
    );
    if (!kept.length) return;
    this.level = 0;
    for (const sample of kept) {
      const size = Math.abs(sample) / 32768;
      if (size > this.level) this.level = size;
      if (size >= 32767 / 32768) this.#clipped += 1;
    }
    this.#loudest = Math.max(this.#loudest, this.level);
    this.#chunks.push(kept);
    this.length += kept.length;
  }

  /** @returns {ArrayBuffer} a WAV file */
  file() {
    return wavFile(this.#chunks, this.#rate);
  }
}
