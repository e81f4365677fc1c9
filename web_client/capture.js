// @ts-check
/** The audio thread's ear: hands the microphone's samples to the page, a fiftieth of a second at a time. */

class Capture extends AudioWorkletProcessor {
  #block = new Float32Array(Math.round(sampleRate / 50));
  #filled = 0;

  /**
   * @param {Float32Array[][]} inputs one, mono; without a channel while no sound comes
   * @returns {boolean} whether to be called again
   */
  process(inputs) {
    const heard = inputs[0][0] ?? new Float32Array(0);
    for (let at = 0; at < heard.length; ) {
      const count = Math.min(heard.length - at, this.#block.length - this.#filled);
      this.#block.set(heard.subarray(at, at + count), this.#filled);
      at += count;
      this.#filled += count;
      if (this.#filled === this.#block.length) {
        this.port.postMessage(this.#block);
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("capture", Capture);
