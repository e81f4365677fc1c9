// Arrival schedules for the playout tests and its simulation: seeded, in virtual time.

/**
 * mulberry32: a small seeded generator of numbers in 0..1.
 * @param {number} seed
 */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/**
 * When each patch reaches the listener, in ms: made in order at `rtf`, sent no further ahead than the lead, delayed by
 * the network, and never overtaken (TCP).
 * @param {object} options
 * @param {() => number} options.next random numbers
 * @param {number} options.num patches
 * @param {number} options.patchMs
 * @param {number} options.rtf
 * @param {number} options.jitterMs uniform delay of each patch
 * @param {number} options.spikeMs further delay of one patch in a hundred
 * @param {number} [options.leadMs]
 */
export function arrivals({ next, num, patchMs, rtf, jitterMs, spikeMs, leadMs = 4000 }) {
  const times = [];
  let made = 0;
  let arrived = 0;
  for (let index = 0; index < num; index++) {
    made = Math.max(made + rtf * patchMs, (index + 1) * patchMs - leadMs);
    const spike = next() < 0.01 ? spikeMs : 0;
    arrived = Math.max(arrived, made + next() * jitterMs + spike);
    times.push(arrived);
  }
  return times;
}

export const networks = {
  lan: { jitterMs: 5, spikeMs: 0 },
  wifi: { jitterMs: 30, spikeMs: 120 },
  "4G": { jitterMs: 80, spikeMs: 300 },
};
