// The start rule under simulated networks: `node tests/web_client/simulate.mjs`. Prints the share of utterances with a
// gap and the delay that the rule adds to the first arrival (mean): for each base target once with the rtf announced
// and once without.

import { Playout } from "../../web_client/playout.js";
import { arrivals, networks, random } from "./arrivals.mjs";

const RATE = 44100;
const QUANTUM = 128;

/**
 * @param {{patchMs: number, rtf: number, announced: number, baseMs?: number, network: {jitterMs: number, spikeMs: number}, seed: number}} options
 */
export function listen({ patchMs, rtf, announced, baseMs, network, seed }) {
  const num = Math.round(6000 / patchMs);
  const samples = Math.round((patchMs * RATE) / 1000);
  const times = arrivals({ next: random(seed), num, patchMs, rtf, ...network });
  const playout = new Playout({ sampleRate: RATE, patchMs, rtf: announced, baseMs });
  const out = new Float32Array(QUANTUM);
  const patch = new Int16Array(samples);
  playout.open(0);
  let sent = 0;
  let startMs = -1;
  for (let frame = 0; playout.state !== "idle"; frame += QUANTUM) {
    while (sent < num && (times[sent] * RATE) / 1000 <= frame) {
      playout.push(0, patch);
      if (++sent === num) playout.end(0);
    }
    playout.pull(out, frame);
    for (const event of playout.events.splice(0)) {
      if (event.type === "start" && startMs < 0) startMs = (1000 * event.frame) / RATE;
    }
  }
  return { underruns: playout.underruns, delayMs: startMs - times[0] };
}

/** @param {Omit<Parameters<typeof listen>[0], "seed">} options @param {number} num utterances */
export function survey(options, num) {
  let broken = 0;
  let delayMs = 0;
  for (let seed = 0; seed < num; seed++) {
    const heard = listen({ ...options, seed });
    broken += heard.underruns > 0 ? 1 : 0;
    delayMs += heard.delayMs / num;
  }
  return { broken: broken / num, delayMs };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  console.log("base target: 0, 60, 100, 160, 250 ms; each with the rtf announced | unknown");
  for (const rtf of [0.05, 0.3, 0.6, 0.9]) {
    for (const [name, network] of Object.entries(networks)) {
      const cells = [0, 60, 100, 160, 250].flatMap((baseMs) =>
        [rtf, 1].map((announced) => {
          const { broken, delayMs } = survey({ patchMs: 160, rtf, announced, baseMs, network }, 200);
          return `${(100 * broken).toFixed(1).padStart(5)} %/${delayMs.toFixed(0).padStart(3)} ms`;
        }),
      );
      console.log(`rtf ${rtf} ${name.padEnd(4)} ${cells.join(" | ")}`);
    }
  }
}
