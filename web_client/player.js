// @ts-check
/**
 * The AudioContext's life: made in a gesture, unlocked again whenever the browser stops it, rebuilt for another rate.
 * Speech reaches the playing thread past this file, over a port between the Worker and the Sink; here are commands and
 * the clock that says what the ear hears now.
 */

import { Heard } from "./heard.js";
import { Sink } from "./sink.js";

/** @typedef {import("./messages.js").PageToSink} PageToSink */
/** @typedef {import("./messages.js").SinkToPage} SinkToPage */
/** @typedef {import("./messages.js").Position} Position */
/** @typedef {import("./messages.js").TapeRecord} TapeRecord */
/** @typedef {Omit<import("./sink.js").SinkOptions, "sampleRate">} SpeakerOptions */
/** @typedef {[PageToSink, Transferable[]?][]} Untold */

/** Frames of one ScriptProcessor call: fewer crackle when the page is busy. */
const SCRIPT_FRAMES = 2048;
const MAX_CLOCK_DOUBT_S = 0.5;

export class Player {
  /** @type {Position | null} the latest report */
  position = null;

  #options;
  #attach;
  #onposition;
  #onstate;
  /** @type {AudioContext | null} */
  #context = null;
  #wanted = 0;
  #latency = -1;
  /** @type {AudioNode | null} kept, or Safari collects it */
  #node = null;
  /** @type {(message: PageToSink, transfer?: Transferable[]) => void} */
  #command = () => {};
  /** What waits for a playing thread whose code did not come. @type {Untold | null} */
  #untold = null;
  #heard = new Heard();
  /** @type {((tape: TapeRecord) => void)[]} */
  #tapeWaiters = [];

  /**
   * @param {object} hooks
   * @param {() => SpeakerOptions} hooks.options asked at each new context
   * @param {(port: MessagePort, sampleRate: number) => void} hooks.attach the Worker's end of a new Sink's line
   * @param {(position: Position) => void} hooks.onposition
   * @param {() => void} hooks.onstate the context runs, or no longer does
   */
  constructor({ options, attach, onposition, onstate }) {
    this.#options = options;
    this.#attach = attach;
    this.#onposition = onposition;
    this.#onstate = onstate;
  }

  /** Hz at which the device is fed; 0 before the first `unlock`. */
  get sampleRate() {
    return this.#context?.sampleRate ?? 0;
  }

  /** The device's clock, in frames. */
  get frame() {
    return Math.round((this.#context?.currentTime ?? 0) * this.sampleRate);
  }

  /** Whether the device takes sound: false also where autoplay is locked or a call has interrupted. */
  get running() {
    return this.#context?.state === "running";
  }

  /** Whether the page's own thread plays, for want of a worklet (an insecure origin). */
  get plain() {
    return this.#context !== null && !this.#context.audioWorklet;
  }

  /**
   * Makes or wakes the context; one of another rate is replaced, with all that sounds.
   * To be called in the handler of a click or a key, before anything asynchronous.
   * @param {number} sampleRate Hz wanted; what came out is `sampleRate`
   */
  unlock(sampleRate) {
    if (this.#context && this.#wanted !== sampleRate) this.close();
    if (!this.#context) this.#build(sampleRate);
    this.wake();
  }

  /** There is a server: it is asked again for the playing thread's code, if that did not come before. */
  mend() {
    const untold = this.#untold;
    if (!untold || !this.#context) return;
    this.#untold = null;
    this.#context.close().catch(() => {});
    this.#connectWorklet(this.#open(), untold); // a context asks once only for each of its modules
    this.wake();
  }

  /** Lets the context that there is sound again. In such a handler, too. */
  wake() {
    if (this.#context && this.#context.state !== "running") this.#context.resume().catch(() => this.#onstate());
  }

  close() {
    this.#node?.disconnect();
    this.#context?.close().catch(() => {});
    this.#context = this.#node = this.position = this.#untold = null;
    this.#command = () => {};
    this.#heard = new Heard();
    this.#latency = -1;
  }

  /** @param {number} track this one and all before it fall silent within 5 ms */
  stop(track) {
    this.#command({ type: "stop", track });
  }

  /** @param {boolean} paused */
  pause(paused) {
    this.#command({ type: "pause", paused });
  }

  /** Speech that waits for its head start is to sound now. */
  hurry() {
    this.#command({ type: "hurry" });
  }

  /** What has been played, if the page was opened to record. @returns {Promise<TapeRecord>} */
  tape() {
    return new Promise((resolve) => {
      this.#tapeWaiters.push(resolve);
      this.#command({ type: "tape" });
    });
  }

  /** @returns {{track: number, offset: number}} samples of a track that the ear has had by now; track -1 before any */
  heardNow() {
    const context = this.#context;
    if (!context || !this.position) return { track: -1, offset: 0 };
    const { contextTime = 0, performanceTime = 0 } = context.getOutputTimestamp?.() ?? {};
    const told = contextTime + (performance.now() - performanceTime) / 1000;
    const guessed = context.currentTime - this.#latencySeconds(context);
    // WebKit's timestamp is nothing, or of another clock: then the latency that it may know is taken off.
    const seconds = Math.abs(told - guessed) < MAX_CLOCK_DOUBT_S ? Math.min(told, context.currentTime) : guessed;
    return this.#heard.at(seconds * context.sampleRate);
  }

  /** @param {AudioContext} context */
  #latencySeconds(context) {
    return context.outputLatency || context.baseLatency || 0;
  }

  /** @param {number} sampleRate */
  #build(sampleRate) {
    const session = /** @type {{audioSession?: {type: string}}} */ (navigator).audioSession;
    if (session) session.type = "playback"; // Safari: the silent switch mutes other kinds
    this.#wanted = sampleRate;
    const context = this.#open();
    const { port1, port2 } = new MessageChannel();
    this.#attach(port1, context.sampleRate);
    if (context.audioWorklet) this.#connectWorklet(context, [[{ type: "port", port: port2 }, [port2]]]);
    else this.#connectScript(context, port2);
  }

  #open() {
    const context = new AudioContext({ sampleRate: this.#wanted, latencyHint: "interactive" });
    context.addEventListener("statechange", () => this.#onstate());
    this.#context = context;
    return context;
  }

  /**
   * @param {AudioContext} context
   * @param {Untold} early
   */
  async #connectWorklet(context, early) {
    this.#command = (message, transfer) => early.push([message, transfer]);
    const isHere = await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url)).then(() => true, () => false);
    if (this.#context !== context) return;
    if (!isHere) {
      this.#untold = early;
      return;
    }
    const node = new AudioWorkletNode(context, "speaker", {
      numberOfInputs: 0, outputChannelCount: [1], processorOptions: this.#options(),
    });
    node.port.onmessage = ({ data }) => this.#receive(data);
    node.connect(context.destination);
    this.#node = node;
    this.#command = (message, transfer = []) => node.port.postMessage(message, transfer);
    for (const [message, transfer] of early) this.#command(message, transfer);
  }

  /**
   * @param {AudioContext} context
   * @param {MessagePort} port
   */
  #connectScript(context, port) {
    const sink = new Sink({ ...this.#options(), sampleRate: context.sampleRate }, (message) => this.#receive(message));
    const node = context.createScriptProcessor(SCRIPT_FRAMES, 1, 1);
    let frame = 0;
    node.onaudioprocess = ({ outputBuffer, playbackTime }) => {
      // The time given wavers by some quanta although the sound is continuous; it counts when the page was stuck.
      const told = Math.round(playbackTime * context.sampleRate);
      if (told > frame + 2 * SCRIPT_FRAMES) frame = told;
      sink.pull(outputBuffer.getChannelData(0), frame);
      frame += SCRIPT_FRAMES;
    };
    node.connect(context.destination);
    this.#node = node;
    this.#command = (message) => sink.command(message);
    this.#command({ type: "port", port });
  }

  /** @param {SinkToPage} message */
  #receive(message) {
    if (message.type === "tape") {
      for (const resolve of this.#tapeWaiters.splice(0)) resolve(message);
      return;
    }
    this.position = message;
    this.#heard.merge(message.runs);
    this.#tellLatency();
    this.#onposition(message);
  }

  #tellLatency() {
    if (!this.#context) return;
    const frames = Math.round(this.#latencySeconds(this.#context) * this.#context.sampleRate);
    if (frames === this.#latency) return;
    this.#latency = frames;
    this.#command({ type: "latency", frames });
  }
}
