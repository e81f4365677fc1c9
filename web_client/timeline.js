// @ts-check
/**
 * Where an utterance's payloads lie in its sample stream, and how samples and ticks correspond (PROTOCOL.md, "Runs").
 *
 * Ticks count the model's sample rate; samples count the rate at which this page plays (48000 for Opus). A run is a
 * stretch with fresh coder state: its first `preSkip` samples are dropped, the rest covers exactly the run's ticks,
 * rounded up to one sample. Surplus (a coder's padding) is held until later ticks cover it, and dropped with the run.
 */

/** @typedef {Int16Array<ArrayBuffer> | Float32Array<ArrayBuffer>} Samples int16, or floats in -1..1 */
/** @typedef {{pts: number, offset: number}} Mark a run's start in ticks and in samples */

export class Timeline {
  /** @type {Mark[]} */
  marks = [];
  /** Samples that `push` has let through. */
  length = 0;
  /** The tick after the last one pushed. */
  ticks = 0;

  #tickRate;
  #sampleRate;
  #skip = 0;
  /** @type {Samples[]} */
  #held = [];

  /** @param {{tickRate: number, sampleRate: number}} rates in Hz */
  constructor({ tickRate, sampleRate }) {
    this.#tickRate = tickRate;
    this.#sampleRate = sampleRate;
  }

  /**
   * Begins a run where the last one ended.
   * @param {number} preSkip samples to drop, at the playing rate
   * @returns {Mark}
   */
  open(preSkip) {
    const mark = { pts: this.ticks, offset: this.length };
    this.marks.push(mark);
    this.#skip = preSkip;
    this.#held = [];
    return mark;
  }

  /**
   * Forgets what lies beyond a sample: other sound will follow there, in another run.
   * @param {number} length samples that stay
   */
  splice(length) {
    this.ticks = this.ticksAt(length);
    this.length = length;
    this.marks = this.marks.filter(({ offset }) => offset <= length);
    this.#held = [];
  }

  /**
   * Takes one message's payload and returns what can be played now: samples that continue the stream at the former `length`.
   * @param {number} ticks what the message covers
   * @param {Samples} samples all of its payload, decoded
   * @returns {Samples}
   */
  push(ticks, samples) {
    this.ticks += ticks;
    const dropped = Math.min(this.#skip, samples.length);
    this.#skip -= dropped;
    let ready = /** @type {Samples} */ (dropped ? samples.slice(dropped) : samples);
    if (this.#held.length) {
      ready = join([...this.#held, ready]);
      this.#held = [];
    }
    const { pts, offset } = this.marks[this.marks.length - 1];
    const covered = Math.ceil(((this.ticks - pts) * this.#sampleRate) / this.#tickRate);
    const room = covered - (this.length - offset);
    if (ready.length > room) {
      this.#held = [/** @type {Samples} */ (ready.slice(room))];
      ready = /** @type {Samples} */ (ready.slice(0, room));
    }
    this.length += ready.length;
    return ready;
  }

  /**
   * @param {number} offset samples of the stream that have sounded
   * @returns {number} the ticks that they cover
   */
  ticksAt(offset) {
    return ticksAt(this.marks, offset, this.ticks, this.#tickRate / this.#sampleRate);
  }

  /**
   * @param {number} ticks
   * @returns {number} samples of the stream that cover them
   */
  offsetAt(ticks) {
    const mark = this.marks.findLast((candidate) => candidate.pts <= ticks);
    return mark ? mark.offset + Math.ceil(((ticks - mark.pts) * this.#sampleRate) / this.#tickRate) : 0;
  }
}

/**
 * @param {Mark[]} marks in order
 * @param {number} offset samples that have sounded
 * @param {number} end ticks received so far; no answer is larger
 * @param {number} ticksPerSample
 * @returns {number} ticks that have sounded
 */
export function ticksAt(marks, offset, end, ticksPerSample) {
  const index = marks.findLastIndex((mark) => mark.offset <= offset);
  if (index < 0) return 0;
  const { pts, offset: start } = marks[index];
  return Math.min(pts + Math.floor((offset - start) * ticksPerSample), marks[index + 1]?.pts ?? end);
}

/**
 * @param {Samples[]} parts all of one type
 * @returns {Samples}
 */
function join(parts) {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const whole = parts[0] instanceof Int16Array ? new Int16Array(length) : new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
