import assert from "node:assert/strict";
import { test } from "node:test";

import { Playout } from "../../web_client/playout.js";
import { arrivals, networks, random } from "./arrivals.mjs";
import { largestStep, listen, noise, sine } from "./listening.mjs";
import { survey } from "./simulate.mjs";

const RATE = 8000;
const PATCH = 1280;
const FADE = 40;

/** Pushes at the arrival times of a simulated network, in pieces of one patch. */
function schedule(stream, times, { track = 0, fromFrame = 0 } = {}) {
  const script = [{ frame: fromFrame, act: (playout) => playout.open(track) }];
  times.forEach((ms, index) => {
    const piece = stream.slice(index * PATCH, (index + 1) * PATCH);
    script.push({
      frame: fromFrame + Math.ceil((ms * RATE) / 1000),
      act: (playout) => {
        playout.push(track, piece);
        if (index === times.length - 1) playout.end(track);
      },
    });
  });
  return script;
}

/** Fails unless the run map covers each stream once, in order, and the sound there is the stream's, fades exempt. */
function assertExact({ sound, runs, events }, streams) {
  const dryFrames = events.filter((event) => event.type === "dry").map((event) => event.frame);
  const covered = streams.map(() => 0);
  const speech = new Uint8Array(sound.length);
  for (const { frame, track, offset, length } of runs) {
    assert.equal(offset, covered[track], `track ${track} goes on where it was`);
    covered[track] += length;
    const resumes = dryFrames.some((dry) => dry < frame) && offset > 0;
    for (let index = 0; index < length; index++) {
      speech[frame + index] = 1;
      if (resumes && index < FADE) continue;
      assert.equal(sound[frame + index] * 32768, streams[track][offset + index], `sample ${offset + index}`);
    }
  }
  assert.deepEqual(covered, streams.map((stream) => stream.length));
  for (const dry of dryFrames) speech.fill(1, dry, dry + FADE);
  assert.ok(sound.every((value, index) => speech[index] || value === 0), "silence where nothing is due");
}

test("every sample sounds once, in order, under 2000 random schedules", () => {
  let underruns = 0;
  for (let seed = 0; seed < 2000; seed++) {
    const next = random(seed);
    const num = 1 + Math.floor(next() * 12);
    const network = Object.values(networks)[seed % 3];
    const rtf = next() * 1.3;
    const times = arrivals({ next, num, patchMs: 160, rtf, leadMs: 300 + next() * 4000, ...network });
    const stream = noise(next, num * PATCH - Math.floor(next() * PATCH));
    const heard = listen({ sampleRate: RATE, rtf: seed % 2 ? rtf : 1 }, schedule(stream, times));
    assertExact(heard, [stream]);
    underruns += heard.playout.underruns;
    assert.equal(heard.playout.refused, 0);
    let last = 0;
    for (const { offset } of heard.positions) {
      assert.ok(offset >= last, "the position never falls");
      last = offset;
    }
    assert.equal(last, stream.length);
  }
  assert.ok(underruns > 100, `the schedules are hard enough: ${underruns} underruns`);
});

test("tracks play one after another whatever the order of arrival", () => {
  for (let seed = 0; seed < 300; seed++) {
    const next = random(seed);
    const streams = [0, 1, 2].map(() => noise(next, Math.floor(next() * 4 * PATCH) + 1));
    const script = streams
      .flatMap((stream, track) => {
        const times = arrivals({ next, num: Math.ceil(stream.length / PATCH), patchMs: 160, rtf: 0.5, ...networks.wifi });
        return schedule(stream, times, { track }).slice(1);
      })
      .sort((left, right) => left.frame - right.frame);
    const open = streams.map((_, track) => ({ frame: 0, act: (playout) => playout.open(track) }));
    assertExact(listen({ sampleRate: RATE }, [...open, ...script]), streams);
  }
});

test("complete tracks follow one another without a gap", () => {
  const streams = [noise(random(1), 1000), noise(random(2), 1000)];
  const script = streams.flatMap((stream, track) => schedule(stream, [0], { track }));
  const { runs } = listen({ sampleRate: RATE }, script);
  assert.deepEqual(runs.map(({ frame }) => frame), [0, 1000]);
});

test("running dry and resuming make no step that the tone does not make itself", () => {
  const stream = sine(44100, 220, 44100);
  const natural = largestStep(stream);
  for (const [index, gapAt] of [4000, 7777, 10011, 13001].entries()) {
    const script = [
      { frame: 0, act: (playout) => playout.open(0) },
      { frame: 0, act: (playout) => playout.push(0, stream.slice(0, gapAt)) },
      { frame: 30000 + 100 * index, act: (playout) => playout.push(0, stream.slice(gapAt)) },
      { frame: 30000 + 100 * index, act: (playout) => playout.end(0) },
    ];
    const { sound, playout } = listen({ sampleRate: 44100 }, script);
    assert.equal(playout.underruns, 1);
    assert.ok(largestStep(sound) <= natural * 1.02 + 0.8 / 220, `${largestStep(sound)} against ${natural}`);
  }
});

test("the first patch of a fast server plays at once", () => {
  const script = [
    { frame: 1280, act: (playout) => playout.open(0) },
    { frame: 1280, act: (playout) => playout.push(0, noise(random(1), PATCH)) },
    { frame: 2000, act: (playout) => playout.end(0) },
  ];
  assert.equal(listen({ sampleRate: RATE, rtf: 0.3 }, script).runs[0].frame, 1280);
});

test("without a known rtf the first patch waits for the target, and a second one ends the wait", () => {
  const patch = noise(random(1), PATCH);
  const alone = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, patch) },
    { frame: 2000, act: (playout) => playout.end(0) },
  ];
  assert.ok(Math.abs(listen({ sampleRate: RATE }, alone).runs[0].frame - 0.1 * RATE) <= 128);
  const followed = [...alone.slice(0, 2), { frame: 128, act: (playout) => playout.push(0, patch) }, ...alone.slice(2)];
  assert.equal(listen({ sampleRate: RATE }, followed).runs[0].frame, 128);
});

test("a fast server on wifi plays at once and hardly ever stutters; a slow one is waited for", () => {
  const quick = survey({ patchMs: 160, rtf: 0.3, announced: 0.3, network: networks.wifi }, 100);
  assert.ok(quick.broken <= 0.02 && quick.delayMs < 5, JSON.stringify(quick));
  const slow = survey({ patchMs: 160, rtf: 0.9, announced: 0.9, network: networks.wifi }, 100);
  assert.ok(slow.broken <= 0.04 && slow.delayMs < 100, JSON.stringify(slow));
});

test("the last words before the writer's pause are heard although nothing follows", () => {
  const words = noise(random(1), 300);
  const script = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, words) },
    { frame: 16000, act: (playout) => playout.end(0) },
  ];
  const { runs } = listen({ sampleRate: RATE, targetMs: 500 }, script);
  assert.ok(runs[0].frame <= 0.55 * RATE, `heard at ${runs[0].frame}`);
});

test("a pause of the writer is no underrun and teaches nothing", () => {
  const stream = noise(random(1), 2 * PATCH);
  const script = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream.slice(0, PATCH)) },
    { frame: 9000, act: (playout) => playout.openRun(0) },
    { frame: 9000, act: (playout) => playout.push(0, stream.slice(PATCH)) },
    { frame: 9000, act: (playout) => playout.end(0) },
  ];
  const { playout, sound, runs } = listen({ sampleRate: RATE, rtf: 0.1 }, script);
  assert.equal(playout.underruns, 0);
  assert.equal(playout.targetMs, 100);
  assert.equal(runs[1].offset, PATCH);
  const start = runs[1].frame;
  assert.deepEqual(Array.from(sound.slice(start, start + PATCH), (v) => v * 32768), Array.from(stream.slice(PATCH)));
});

test("underruns raise the target, up to one second, and good utterances lower it", () => {
  const playout = new Playout({ sampleRate: RATE });
  const out = new Float32Array(128);
  let frame = 0;
  const spend = (frames) => {
    for (const end = frame + frames; frame < end; frame += 128) playout.pull(out, frame);
  };
  playout.open(0);
  const targets = [];
  for (let index = 0; index < 8; index++) {
    playout.push(0, noise(random(index), 400));
    spend(2 * RATE);
    targets.push(Math.round(playout.targetMs));
  }
  assert.ok(targets[0] >= 150 && targets.every((target, index) => index === 0 || target >= targets[index - 1]), `${targets}`);
  assert.equal(targets.at(-1), 1000);
  playout.end(0);
  spend(256);
  for (let track = 1; track < 60; track++) {
    playout.open(track);
    for (let index = 0; index < 40; index++) playout.push(track, noise(random(index), 100));
    playout.end(track);
    spend(4096);
  }
  assert.ok(playout.targetMs < 500, `${playout.targetMs}`);
});

test("a cut is silent within 5 ms, without a click, and reports where", () => {
  const stream = sine(44100, 220, 44100);
  const script = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream) },
    { frame: 12800, act: (playout) => playout.cut(0) },
    { frame: 14080, act: (playout) => playout.push(0, stream) },
    { frame: 14080, act: (playout) => playout.open(0) },
  ];
  const { sound, events, playout, runs } = listen({ sampleRate: 44100 }, script, 4096);
  assert.deepEqual(events.map(({ type }) => type), ["start", "cut"]);
  assert.equal(events[1].offset, 12800 + 221);
  assert.equal(runs[0].length, events[1].offset);
  assert.ok(sound.slice(12800 + 221).every((value) => value === 0));
  assert.ok(largestStep(sound) <= largestStep(stream) + 0.8 / 221);
  assert.equal(playout.refused, stream.length);
  assert.equal(playout.state, "idle");
});

test("a cut spares the utterance that was started after it, whichever message comes first", () => {
  const stream = noise(random(3), 2000);
  const script = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, noise(random(4), 8000)) },
    { frame: 128, act: (playout) => playout.open(2) },
    { frame: 1280, act: (playout) => playout.cut(1) },
    { frame: 1408, act: (playout) => playout.open(1) },
    { frame: 1408, act: (playout) => playout.push(1, stream) },
    { frame: 1408, act: (playout) => playout.push(2, stream) },
    { frame: 1408, act: (playout) => playout.end(2) },
  ];
  const { runs, playout } = listen({ sampleRate: RATE }, script);
  assert.deepEqual(runs.map(({ track }) => track), [0, 2]);
  assert.equal(runs[1].length, stream.length);
  assert.equal(playout.refused, stream.length);
});

test("a cut near the end of the buffer still ends without a step", () => {
  const stream = sine(44100, 220, 12810);
  const script = [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream) },
    { frame: 12800, act: (playout) => playout.cut(0) },
  ];
  const { sound, events } = listen({ sampleRate: 44100 }, script);
  assert.equal(events.at(-1).offset, 12810);
  assert.ok(largestStep(sound) <= largestStep(stream) + 0.8 / 221);
});

test("truncation fades out before the sample named, or at once where that has sounded", () => {
  const stream = sine(44100, 220, 44100);
  const later = listen({ sampleRate: 44100 }, [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream) },
    { frame: 1280, act: (playout) => playout.truncate(0, 20000) },
  ]);
  assert.equal(later.runs[0].length, 20000);
  assert.deepEqual(later.sound.slice(0, 20000 - 441), stream.slice(0, 20000 - 441));
  assert.ok(largestStep(later.sound) <= largestStep(stream) + 0.8 / 441);
  const past = listen({ sampleRate: 44100 }, [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream) },
    { frame: 12800, act: (playout) => playout.truncate(0, 5000) },
  ]);
  assert.equal(past.runs[0].length, 12800 + 221);
  assert.ok(largestStep(past.sound) <= largestStep(stream) + 0.8 / 220);
  const unheard = listen({ sampleRate: 44100 }, [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream.slice(0, 100)) },
    { frame: 0, act: (playout) => playout.truncate(0, 0) },
  ]);
  assert.deepEqual(unheard.runs, []);
});

test("pausing holds the place: no sample is lost or repeated, and there is no click", () => {
  const stream = sine(44100, 220, 13 * 2205);
  const { sound, runs, playout } = listen({ sampleRate: 44100 }, [
    { frame: 0, act: (playout) => playout.open(0) },
    { frame: 0, act: (playout) => playout.push(0, stream) },
    { frame: 0, act: (playout) => playout.end(0) },
    { frame: 6400, act: (playout) => playout.pause() },
    { frame: 12800, act: (playout) => playout.resume() },
    { frame: 12800, act: (playout) => playout.pause() },
    { frame: 19200, act: (playout) => playout.resume() },
  ]);
  assert.equal(runs.reduce((sum, run) => sum + run.length, 0), stream.length);
  assert.ok(sound.slice(6400 + 221, 12800).every((value) => value === 0));
  assert.ok(largestStep(sound) <= largestStep(stream) + 0.8 / 221);
  assert.equal(playout.underruns, 0);
});

test("what exceeds the capacity is refused and counted", () => {
  const playout = new Playout({ sampleRate: RATE });
  playout.open(0);
  playout.push(0, new Int16Array(2690 * RATE));
  playout.push(0, new Int16Array(20 * RATE));
  assert.equal(playout.buffered, 2690 * RATE);
  assert.equal(playout.refused, 20 * RATE);
});
