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
 * @param {number} [world.prefill] seconds of work before each clause, at real time: `rtf` times as long
 * @param {number[]} [world.clauses] letters of the first ones; the rest are as long as the last
 * @param {boolean} [world.words] whether the server tells of words
 * @param {number} [world.impatientAt] seconds at which the listener asks to hear it now
 * @param {number} [world.seed]
 * @returns what was heard; `leastS`: when it could have begun at the earliest, had all been known, to sound without a gap
 */
export function hear({
  text, rtf, announced = rtf, perSecond = Infinity, pace = 0.075, prefill = 0.2, clauses = [CLAUSE], words = true,
  impatientAt = Infinity, seed = 1,
}) {
  const next = random(seed);
  const outlook = new Outlook({ rtf: announced });
  const playout = new Playout({ sampleRate: RATE, patchMs: 1000 * PATCH_S, rtf: announced });
  const samples = new Int16Array(PATCH_S * RATE).fill(1);
  const out = new Float32Array(QUANTUM);
  /** @type {{startS: number, starts: number, leastS: number, madeS: number, waits: {ms: number, share: number, atS: number}[]}} */
  const told = { startS: -1, starts: 0, leastS: 0, madeS: 0, waits: [] };
  let written = 0;
  let num = 0; // clauses that the server has begun
  let begun = 0; // letters of them
  let clause = 0; // letters of the latest
  let patches = 0; // of the clause that are still to be made
  let planned = 0; // of the clause
  let made = 0;
  let readyAt = Infinity;
  let paused = false; // the writer has, before this clause
  let idle = true;
  let hurried = false;
  const tell = () => {
    const { seconds, rtf, pace, unspoken } = outlook;
    playout.head?.headstart.learn({ length: seconds * RATE, rtf, pace, unspoken }, RATE);
  };
  const announce = () => {
    if (paused) {
      outlook.rest();
      playout.openRun(0);
    }
    const seconds = outlook.begin(begun - clause, begun, made * PATCH_S);
    playout.head?.mark(Math.round(made * PATCH_S * RATE), seconds * RATE);
  };
  playout.open(0);
  for (let frame = 0; playout.state !== "idle"; frame += QUANTUM) {
    const now = frame / RATE;
    const due = Math.min(text.length, Math.floor(now * perSecond) || (perSecond === Infinity ? text.length : 0));
    if (due > written) {
      outlook.write(text.slice(written, due), 1000 * now);
      written = due;
      tell();
    }
    const coming = Math.min(clauses[Math.min(num, clauses.length - 1)], text.length - begun);
    if (!patches && coming && written >= begun + coming) {
      paused = idle && made > 0;
      patches = Math.max(1, Math.round((coming * pace * (0.8 + 0.4 * next())) / PATCH_S));
      planned = patches;
      num += 1;
      clause = coming;
      begun += coming;
      readyAt = Math.max(now, idle ? now : readyAt) + prefill * rtf + rtf * PATCH_S;
      idle = false;
    }
    if (patches && now >= readyAt) {
      if (patches === planned) announce();
      told.leastS = Math.max(told.leastS, now - made * PATCH_S);
      made += 1;
      patches -= 1;
      outlook.arrive(PATCH_S, 1000 * now);
      playout.push(0, samples);
      if (words) outlook.reach(begun - Math.ceil((patches / planned) * clause), made * PATCH_S);
      readyAt += rtf * PATCH_S * (0.8 + 0.4 * next());
      if (!patches) {
        idle = written < begun + Math.min(clauses[Math.min(num, clauses.length - 1)], text.length - begun) || begun === written;
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
    for (const event of playout.events.splice(0)) {
      if (event.type !== "start") continue;
      told.starts += 1;
      if (told.startS < 0) told.startS = event.frame / RATE;
    }
    if (now > 3600) throw new Error("expected an end within the hour");
  }
  return { ...told, underruns: playout.underruns, seconds: made * PATCH_S, refused: playout.refused };
}
