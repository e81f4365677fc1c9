// @ts-check
/** One run's Opus decoder (WebCodecs): raw packets in, floats out, the coder's own delay included. */

const SAMPLE_RATE = 48000;
const CONFIG = { codec: "opus", sampleRate: SAMPLE_RATE, numberOfChannels: 1 };

/** Whether this browser decodes Opus; never on an insecure origin, where WebCodecs is missing. */
export async function opusSupported() {
  if (typeof AudioDecoder === "undefined") return false;
  return (await AudioDecoder.isConfigSupported(CONFIG)).supported === true;
}

/**
 * @typedef {object} Waiting a message's packets
 * @property {number} missing packets not yet decoded
 * @property {Float32Array[]} parts
 * @property {(samples: Float32Array<ArrayBuffer>) => void} resolve
 * @property {(reason: unknown) => void} reject
 */

export class OpusRun {
  #decoder;
  #frameUs;
  #packets = 0;
  /** @type {Waiting[]} */
  #waiting = [];

  /** @param {number} frameMs of every packet */
  constructor(frameMs) {
    this.#frameUs = frameMs * 1000;
    this.#decoder = new AudioDecoder({
      output: (data) => this.#take(data),
      error: (reason) => this.#fail(reason),
    });
    this.#decoder.configure(CONFIG);
  }

  /**
   * @param {Uint8Array<ArrayBuffer>[]} packets
   * @returns {Promise<Float32Array<ArrayBuffer>>} their sound; promises settle in the order of the calls
   */
  decode(packets) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ missing: packets.length, parts: [], resolve, reject });
      this.#settle();
      try {
        for (const data of packets) {
          const timestamp = this.#packets++ * this.#frameUs;
          this.#decoder.decode(new EncodedAudioChunk({ type: "key", timestamp, data }));
        }
      } catch (reason) {
        this.#fail(reason);
      }
    });
  }

  /** Frees the decoder; what still waits is rejected. */
  close() {
    if (this.#decoder.state !== "closed") this.#decoder.close();
    this.#fail(new Error("the decoder was closed"));
  }

  /** @param {AudioData} data */
  #take(data) {
    const samples = new Float32Array(data.numberOfFrames);
    // Plane 0: WebKit hands out two channels for one.
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    data.close();
    const first = this.#waiting[0];
    if (!first) return;
    first.parts.push(samples);
    first.missing -= 1;
    this.#settle();
  }

  #settle() {
    for (let first = this.#waiting[0]; first?.missing === 0; first = this.#waiting[0]) {
      this.#waiting.shift();
      const { parts, resolve } = first;
      const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) {
        whole.set(part, at);
        at += part.length;
      }
      resolve(whole);
    }
  }

  /** @param {unknown} reason */
  #fail(reason) {
    for (const { reject } of this.#waiting.splice(0)) reject(reason);
  }
}
