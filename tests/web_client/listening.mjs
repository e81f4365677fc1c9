// The tests' ear: pulls a Playout quantum by quantum while scripted things happen, and keeps all that sounded.

import { Playout } from "../../web_client/playout.js";

export const QUANTUM = 128;

/** @typedef {import("../../web_client/heard.js").Run} Run */
/** @typedef {import("../../web_client/playout.js").PlayoutEvent} PlayoutEvent */
/** @typedef {{frame: number, act: (playout: Playout) => void}} Happening */

/**
 * @param {ConstructorParameters<typeof Playout>[0]} options
 * @param {Happening[]} script in order of frames
 * @param {number} [extra] frames to listen on after the last happening and the last sample
 */
export function listen(options, script, extra = QUANTUM * 4) {
  const playout = new Playout(options);
  /** @type {Float32Array[]} */
  const parts = [];
  /** @type {Run[]} */
  const runs = [];
  /** @type {PlayoutEvent[]} */
  const events = [];
  /** @type {{track: number, offset: number}[]} */
  const positions = [];
  let left = extra;
  let next = 0;
  for (let frame = 0; left > 0; frame += QUANTUM) {
    while (next < script.length && script[next].frame <= frame) script[next++].act(playout);
    const out = new Float32Array(QUANTUM).fill(NaN);
    playout.pull(out, frame);
    parts.push(out);
    positions.push(playout.heard.at(frame + QUANTUM));
    for (const run of playout.heard.runs.slice(-4)) {
      const known = runs.find((candidate) => candidate.frame === run.frame);
      if (known) known.length = run.length;
      else runs.push({ ...run });
    }
    events.push(...playout.events.splice(0));
    if (next === script.length && (playout.state === "idle" || playout.paused)) left -= QUANTUM;
  }
  const sound = new Float32Array(parts.length * QUANTUM);
  parts.forEach((part, index) => sound.set(part, index * QUANTUM));
  return { playout, sound, runs, events, positions };
}

/**
 * Samples that cannot be mistaken for one another: seeded noise without zeros.
 * @param {() => number} next
 * @param {number} length
 */
export function noise(next, length) {
  return Int16Array.from({ length }, () => Math.floor(next() * 30000) + 1);
}

/**
 * @param {number} rate Hz
 * @param {number} hz
 * @param {number} length
 */
export function sine(rate, hz, length) {
  return Float32Array.from({ length }, (_, index) => 0.8 * Math.sin((2 * Math.PI * hz * index) / rate));
}

/** @param {Float32Array} sound */
export function largestStep(sound) {
  let largest = 0;
  for (let index = 1; index < sound.length; index++) {
    largest = Math.max(largest, Math.abs(sound[index] - sound[index - 1]));
  }
  return largest;
}
