// @ts-check
/** The microphone while it is open: asks for it, hands on what it hears, and lets go of it. */

/** @typedef {"micInsecure" | "micRefused" | "micMissing" | "micBusy"} Hindrance the key of the sentence that says why not */

/** @type {Record<string, Hindrance>} by the name of the DOMException (Media Capture and Streams, 10.2) */
const HINDRANCES = {
  NotAllowedError: "micRefused", SecurityError: "micRefused",
  NotFoundError: "micMissing", OverconstrainedError: "micMissing",
};

export class Unheard extends Error {
  /** @param {Hindrance} key */
  constructor(key) {
    super(key);
    this.key = key;
  }
}

export class Microphone {
  #stream;
  /** @type {AudioContext | null} */
  #context = null;

  /** @param {MediaStream} stream */
  constructor(stream) {
    this.#stream = stream;
  }

  /**
   * Opens it; the browser may ask its user first.
   * @param {object} hooks
   * @param {(samples: Float32Array) => void} hooks.onsamples
   * @param {() => void} hooks.onlost it was unplugged, or taken away
   * @returns {Promise<Microphone>}
   * @throws {Unheard}
   */
  static async open({ onsamples, onlost }) {
    if (!navigator.mediaDevices || !isSecureContext) throw new Unheard("micInsecure");
    // A voice is learnt from its sound as it is: what a call's filters take away would be missing from it.
    const audio = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio }).catch(({ name }) => {
      throw new Unheard(HINDRANCES[name] ?? "micBusy");
    });
    const microphone = new Microphone(stream);
    try {
      await microphone.#listen(onsamples);
    } catch (error) {
      microphone.close();
      throw error;
    }
    for (const track of stream.getTracks()) track.addEventListener("ended", onlost);
    return microphone;
  }

  /** Hz of the samples. */
  get sampleRate() {
    return this.#context?.sampleRate ?? 0;
  }

  close() {
    for (const track of this.#stream.getTracks()) track.stop();
    this.#context?.close().catch(() => {});
  }

  /** @param {(samples: Float32Array) => void} onsamples */
  async #listen(onsamples) {
    const context = (this.#context = new AudioContext()); // which some browsers refuse when many are open
    await context.audioWorklet.addModule(new URL("./capture.js", import.meta.url));
    const node = new AudioWorkletNode(context, "capture", { channelCount: 1, channelCountMode: "explicit" });
    node.port.onmessage = ({ data }) => onsamples(data);
    // It puts out silence, but what leads nowhere is not run.
    context.createMediaStreamSource(this.#stream).connect(node).connect(context.destination);
    await context.resume();
  }
}
