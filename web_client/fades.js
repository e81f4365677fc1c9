// @ts-check
/** Makes stops and resumptions inaudible as such: short fades, and a mirrored ending where samples are missing. */

export class Fades {
  #length;
  /** @type {Float32Array} the last samples that sounded */
  #recent;
  /** @type {Float32Array} the fade-out under way */
  #tail = new Float32Array(0);
  #tailAt = 0;
  #in = 0;

  /** @param {number} length samples of a fade */
  constructor(length) {
    this.#length = length;
    this.#recent = new Float32Array(length);
  }

  /** A fade-out has begun and must sound to its end. */
  get ending() {
    return this.#tailAt < this.#tail.length;
  }

  /** The next samples fade in. */
  armFadeIn() {
    this.#in = this.#length;
  }

  disarmFadeIn() {
    this.#in = 0;
  }

  /**
   * Shapes speech that sounds now.
   * @param {Float32Array} out changed in place
   */
  shape(out) {
    for (let index = 0; index < out.length && this.#in > 0; index++) {
      out[index] *= 1 - this.#in / this.#length;
      this.#in -= 1;
    }
    const kept = out.subarray(Math.max(0, out.length - this.#recent.length));
    this.#recent.copyWithin(0, kept.length);
    this.#recent.set(kept, this.#recent.length - kept.length);
  }

  /**
   * Begins a fade-out over the speech that comes next; past its end the latest samples come backwards, so that the
   * curve has no step.
   * @param {number} available samples of speech that may still sound
   * @param {(out: Float32Array) => void} sound fills with shaped speech
   */
  begin(available, sound) {
    const tail = new Float32Array(this.#length);
    const real = Math.min(tail.length, available);
    if (real > 0) sound(tail.subarray(0, real));
    for (let index = real; index < tail.length; index++) {
      tail[index] = this.#recent[this.#recent.length - 1 - (index - real)];
    }
    for (let index = 0; index < tail.length; index++) tail[index] *= 1 - (index + 1) / tail.length;
    this.#recent.fill(0);
    this.#tail = tail;
    this.#tailAt = 0;
  }

  /**
   * @param {Float32Array} out filled from the fade-out under way
   * @returns {number} samples filled
   */
  pull(out) {
    const part = this.#tail.subarray(this.#tailAt, this.#tailAt + out.length);
    out.set(part);
    this.#tailAt += part.length;
    return part.length;
  }
}
