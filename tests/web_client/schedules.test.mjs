// The jitter buffer under random schedules with all that a listener and a machine may do at once: several utterances in
// bursts, pauses, cuts, truncations, and a clock that does not run as the server's does.

import assert from "node:assert/strict";
import { test } from "node:test";

import { arrivals, networks, random } from "./arrivals.mjs";
import { listen, noise, QUANTUM } from "./listening.mjs";

const RATE = 8000;
const PATCH = 1280;
const FADE = 40; // 5 ms
const LONG_FADE = 80; // 10 ms, of a truncation

/**
 * One evening: what happens at which frame, and what is then to be held against it.
 * @param {number} seed
 */
function evening(seed) {
  const next = random(seed);
  const pick = (/** @type {number} */ num) => Math.floor(next() * num);
  const skew = 1 + (next() - 0.5) / 50; // the listener's clock, to a per cent
  /** @type {import("./listening.mjs").Happening[]} */
  const script = [];
  /** @type {Int16Array[]} */
  const streams = [];
  /** @type {number[]} */
  const pauses = []; // frames of pauses and of their ends
  /** @type {Map<number, number>} */
  const cutAt = new Map();
  /** @type {Map<number, number>} */
  const endsAt = new Map();
  let frame = 0;
  const numTracks = 1 + pick(4);
  for (let track = 0; track < numTracks; track++) {
    const num = 1 + pick(10);
    const stream = noise(next, num * PATCH - pick(PATCH));
    streams.push(stream);
    const network = Object.values(networks)[pick(3)];
    const times = arrivals({ next, num, patchMs: 160, rtf: next() * 1.5, leadMs: next() * 4000, ...network });
    const burst = 1 + pick(4); // so many come at the instant of the last of them
    script.push({ frame, act: (playout) => playout.open(track) });
    times.forEach((_, index) => {
      const last = Math.min(times.length - 1, index - (index % burst) + burst - 1);
      const at = frame + Math.ceil((times[last] * RATE * skew) / 1000);
      const piece = stream.slice(index * PATCH, (index + 1) * PATCH);
      script.push({ frame: at, act: (playout) => playout.push(track, piece) });
      if (index === times.length - 1) script.push({ frame: at, act: (playout) => playout.end(track) });
    });
    if (next() < 0.25) {
      const at = frame + pick(2 * stream.length);
      script.push({ frame: at, act: (playout) => playout.cut(track) });
      cutAt.set(track, at);
    } else if (next() < 0.25) {
      const end = pick(stream.length);
      const at = frame + pick(stream.length);
      script.push({ frame: at, act: (playout) => playout.truncate(track, end) });
      endsAt.set(track, end);
    }
    frame += pick(3 * PATCH);
  }
  for (let num = pick(3); num > 0; num--) {
    const from = pick(frame + 20 * PATCH);
    const to = from + pick(4 * PATCH);
    script.push({ frame: from, act: (playout) => playout.pause() });
    script.push({ frame: to, act: (playout) => playout.resume() });
    pauses.push(from, to);
  }
  script.sort((one, other) => one.frame - other.frame);
  return { script, streams, cutAt, endsAt, pauses };
}

test("whatever happens at once, what sounds is the stream, in order, and nothing of it twice", () => {
  const seen = { cuts: 0, truncations: 0, dry: 0, whole: 0 };
  for (let seed = 0; seed < 300; seed++) {
    const { script, streams, cutAt, endsAt, pauses } = evening(seed);
    const { sound, runs, events } = listen({ sampleRate: RATE, rtf: 1 }, script);
    const covered = streams.map(() => 0);
    let latest = 0;
    for (const { frame, track, offset, length } of runs) {
      assert.equal(offset, covered[track], `seed ${seed}: track ${track} goes on where it was`);
      assert.ok(track >= latest, `seed ${seed}: a track never comes back`);
      latest = track;
      covered[track] += length;
      for (let index = 0; index < length; index++) {
        const heard = Math.round(sound[frame + index] * 32768);
        const due = streams[track][offset + index];
        assert.ok(heard >= 0 && heard <= due, `seed ${seed}: sample ${offset + index} of track ${track} is its own`);
        const fades = pauses.some((at) => frame + index >= at && frame + index < at + QUANTUM + LONG_FADE);
        const isInside = index >= FADE && index < length - LONG_FADE && !fades;
        if (isInside) assert.equal(heard, due, `seed ${seed}: sample ${offset + index} of track ${track} is whole`);
      }
    }
    seen.dry += events.filter(({ type }) => type === "dry").length;
    streams.forEach((stream, track) => {
      const isCut = [...cutAt.keys()].some((cut) => cut >= track); // a cut is of all that came before, too
      if (isCut) seen.cuts++;
      else if (endsAt.has(track)) seen.truncations++;
      else {
        assert.equal(covered[track], stream.length, `seed ${seed}: track ${track} is heard to its end`);
        seen.whole++;
      }
      assert.ok(covered[track] <= stream.length);
    });
    for (const [track, at] of cutAt) {
      const after = runs.filter((run) => run.track <= track && run.frame + run.length > at + QUANTUM + FADE);
      assert.deepEqual(after, [], `seed ${seed}: nothing of what was cut sounds 5 ms later`);
    }
  }
  assert.ok(Math.min(...Object.values(seen)) > 30, `the schedules are hard enough: ${JSON.stringify(seen)}`);
});
