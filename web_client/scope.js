// @ts-check
/**
 * The waveform: what was received, placed by what was heard. Played speech is solid, buffered speech lighter, and a
 * mark stands where the buffer ran dry. With reduced motion a still bar tells the same.
 */

import { PEAK_MS } from "./recording.js";

/** @typedef {import("./utterance.js").Utterance} Utterance */

const PX_PER_BIN = 2;
/** Where the heard position stands, as a share of the width. */
const HEAD = 0.55;

export class Scope {
  #canvas;
  #still = matchMedia("(prefers-reduced-motion: reduce)");
  #last = "";

  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.#canvas = canvas;
  }

  /**
   * @param {Utterance | null} utterance
   * @param {number} offset samples heard of it
   * @param {number} sampleRate Hz
   */
  draw(utterance, offset, sampleRate) {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const binSamples = (sampleRate * PEAK_MS) / 1000 || 1;
    const head = offset / binSamples;
    const length = (utterance?.length ?? 0) / binSamples;
    const scale = devicePixelRatio || 1;
    const step = this.#still.matches ? Math.round(head / 25) : Math.round(head * PX_PER_BIN * scale);
    const shown = [utterance?.id, step, Math.floor(length), width, height, scale, utterance?.gaps.length].join(" ");
    if (shown === this.#last || !width) return;
    this.#last = shown;
    this.#canvas.width = width * scale;
    this.#canvas.height = height * scale;
    const context = this.#canvas.getContext("2d");
    if (!context) return;
    context.scale(scale, scale);
    const colours = palette(this.#canvas);
    if (this.#still.matches) drawBar(context, { width, height, head, length, colours });
    else drawWave(context, { width, height, head, colours, utterance, binSamples });
  }

  /** The colours may have changed. */
  forget() {
    this.#last = "";
  }
}

/** @typedef {{played: string, ahead: string, gap: string, head: string}} Palette */

/** @param {Element} element @returns {Palette} */
function palette(element) {
  const style = getComputedStyle(element);
  const [played, ahead, gap, head] = ["played", "ahead", "gap", "head"].map((name) => style.getPropertyValue(`--wave-${name}`));
  return { played, ahead, gap, head };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{width: number, height: number, head: number, colours: Palette, utterance: Utterance | null, binSamples: number}} view
 */
function drawWave(context, { width, height, head, colours, utterance, binSamples }) {
  const middle = height / 2;
  const headX = Math.round(width * HEAD);
  // Whole device pixels, or the outline shimmers as it moves.
  const shift = Math.round(head * PX_PER_BIN * devicePixelRatio) / devicePixelRatio;
  const first = Math.floor(head - headX / PX_PER_BIN);
  const last = Math.ceil(head + (width - headX) / PX_PER_BIN);
  context.fillStyle = colours.ahead;
  context.fillRect(0, middle - 0.5, width, 1);
  let bin = 0;
  for (const piece of utterance?.outline ?? []) {
    if (bin + piece.length / 2 < first || bin > last) {
      bin += piece.length / 2;
      continue;
    }
    for (let index = 0; index < piece.length; index += 2, bin++) {
      if (bin < first || bin > last) continue;
      const [low, high] = [piece[index] / 128, piece[index + 1] / 128];
      context.fillStyle = bin < head ? colours.played : colours.ahead;
      const x = headX + bin * PX_PER_BIN - shift;
      context.fillRect(x, middle - high * middle * 0.95 - 0.5, PX_PER_BIN, (high - low) * middle * 0.95 + 1);
    }
  }
  context.fillStyle = colours.gap;
  for (const gap of utterance?.gaps ?? []) {
    context.fillRect(headX + (gap / binSamples - head) * PX_PER_BIN - 1, 0, 2, height);
  }
  if (!utterance) return;
  context.fillStyle = colours.head;
  context.fillRect(headX - 0.75, height * 0.08, 1.5, height * 0.84);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{width: number, height: number, head: number, length: number, colours: Palette}} view
 */
function drawBar(context, { width, height, head, length, colours }) {
  context.fillStyle = colours.ahead;
  context.fillRect(0, height / 2 - 5, length ? width : 0, 10);
  context.fillStyle = colours.played;
  context.fillRect(0, height / 2 - 5, length ? width * Math.min(1, head / length) : 0, 10);
}
