// A machine slower than real time, and a page that listens to it, in virtual time: what headstart and outlook are for.

import { Outlook } from "../../web_client/outlook.js";
import { Playout } from "../../web_client/playout.js";
import { random } from "./arrivals.mjs";

const RATE = 8000;
const QUANTUM = 128;
const PATCH_S = 0.16;
const CLAUSE = 50;

/**
 * @param {object} world
 * @param {string} world.text
 * @param {number} world.rtf as it is
 * @param {number} [world.announced] as `ready` told it
 * @param {number} [world.perSecond] letters a second that the writer writes; all at once without it
 * @param {number} [world.pace] seconds that the model takes to say a letter, on average
 * @param {number} [world.prefill] seconds of work before each clause
 * @param {boolean} [world.words] whether the server tells of words
 * @param {number} [world.impatientAt] seconds at which the listener asks to hear it now
 * @param {number} [world.seed]
 */
export function hear({
  text, rtf, announced = rtf, perSecond = Infinity, pace = 0.075, prefill = 0.2, words = true, impatientAt = Infinity, seed = 1,
}) {
  const next = random(seed);
  const outlook = new Outlook({ rtf: announced });
  const playout = new Playout({ sampleRate: RATE, patchMs: 1000 * PATCH_S, rtf: announced });
  const samples = new Int16Array(PATCH_S * RATE).fill(1);
  const out = new Float32Array(QUANTUM);
  /** @type {{startS: number, madeS: number, waits: {ms: number, share: number, atS: number}[]}} */
  const told = { startS: -1, madeS: 0, waits: [] };
  let written = 0;
  let begun = 0; // letters whose clause the server has begun
  let patches = 0; // of the clause that are still to be made
  let planned = 0; // of the clause
  let made = 0;
  let readyAt = Infinity;
  let idle = true;
  let hurried = false;
  const tell = () => playout.head?.headstart.learn({ length: outlook.seconds * RATE, rtf: outlook.rtf }, RATE);
  playout.open(0);
  for (let frame = 0; playout.state !== "idle"; frame += QUANTUM) {
    const now = frame / RATE;
    const due = Math.min(text.length, Math.floor(now * perSecond) || (perSecond === Infinity ? text.length : 0));
    if (due > written) {
      outlook.write(text.slice(written, due));
      written = due;
      tell();
    }
    const clause = Math.min(CLAUSE, text.length - begun);
    if (!patches && clause && written >= begun + clause) {
      if (idle && made) {
        outlook.rest();
        playout.openRun(0);
      }
      outlook.reach(begun, made * PATCH_S);
      if (outlook.rtf > 1) playout.head?.mark(Math.round(made * PATCH_S * RATE), outlook.between(begun, begun + clause) * RATE);
      patches = Math.max(1, Math.round((clause * pace * (0.8 + 0.4 * next())) / PATCH_S));
      planned = patches;
      begun += clause;
      readyAt = Math.max(now, idle ? now : readyAt) + prefill * rtf + rtf * PATCH_S;
      idle = false;
    }
    if (patches && now >= readyAt) {
      made += 1;
      patches -= 1;
      outlook.arrive(PATCH_S, 1000 * now);
      playout.push(0, samples);
      if (words) outlook.reach(begun - Math.ceil((patches / planned) * CLAUSE), made * PATCH_S);
      readyAt += rtf * PATCH_S * (0.8 + 0.4 * next());
      if (!patches) {
        idle = begun >= written || written < begun + Math.min(CLAUSE, text.length - begun);
        if (begun === text.length) {
          playout.end(0);
          told.madeS = now;
        }
      }
      tell();
    }
    if (now >= impatientAt && !hurried && playout.head) hurried = playout.head.headstart.waived = true;
    const wait = playout.state === "buffering" ? playout.head?.headstart.wait(playout.head) : null;
    if (wait) told.waits.push({ ...wait, atS: now });
    playout.pull(out, frame);
    for (const event of playout.events.splice(0)) if (event.type === "start" && told.startS < 0) told.startS = event.frame / RATE;
    if (now > 3600) throw new Error("expected an end within the hour");
  }
  return { ...told, underruns: playout.underruns, seconds: made * PATCH_S, refused: playout.refused };
}
