// @ts-check
/** The audio thread's end: a Sink that is pulled 128 frames at a time. */

import { Sink } from "./sink.js";

class Speaker extends AudioWorkletProcessor {
  #sink;

  /** @param {AudioWorkletNodeOptions} options `processorOptions`: the Sink's, less the rate */
  constructor(options) {
    super();
    this.#sink = new Sink({ ...options.processorOptions, sampleRate }, (message, transfer = []) => {
      this.port.postMessage(message, transfer);
    });
    this.port.onmessage = ({ data }) => this.#sink.command(data);
  }

  /**
   * @param {Float32Array[][]} _inputs none
   * @param {Float32Array[][]} outputs one, mono
   * @returns {boolean} whether to be called again
   */
  process(_inputs, outputs) {
    this.#sink.pull(outputs[0][0], currentFrame);
    return true;
  }
}

registerProcessor("speaker", Speaker);
