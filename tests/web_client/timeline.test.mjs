import assert from "node:assert/strict";
import { test } from "node:test";

import { Timeline } from "../../web_client/timeline.js";
import { random } from "./arrivals.mjs";

test("native PCM passes through untouched and ticks are samples", () => {
  const timeline = new Timeline({ tickRate: 44100, sampleRate: 44100 });
  timeline.open(0);
  const samples = Int16Array.of(1, 2, 3);
  assert.equal(timeline.push(3, samples), samples);
  assert.equal(timeline.ticksAt(2), 2);
  assert.equal(timeline.offsetAt(2), 2);
});

test("a run drops its pre-skip and covers exactly its ticks, however the payload lags", () => {
  for (let seed = 0; seed < 150; seed++) {
    const next = random(seed);
    const tickRate = [44100, 24000, 16000][seed % 3];
    const sampleRate = [48000, 48000, 22050, 8000][seed % 4];
    const timeline = new Timeline({ tickRate, sampleRate });
    let expected = 0;
    let ticks = 0;
    for (let run = 0; run < 3; run++) {
      const preSkip = Math.floor(next() * 400);
      assert.deepEqual(timeline.open(preSkip), { pts: ticks, offset: expected });
      const messages = Array.from({ length: 1 + Math.floor(next() * 5) }, () => Math.floor(next() * 8000));
      const runTicks = messages.reduce((sum, value) => sum + value, 0);
      const length = Math.ceil((runTicks * sampleRate) / tickRate);
      const payload = Float32Array.from({ length: preSkip + length + Math.floor(next() * 500) }, (_, i) => i);
      const got = [];
      let at = 0;
      messages.forEach((value, index) => {
        const upTo = index === messages.length - 1 ? payload.length : Math.min(payload.length, at + Math.floor(next() * 9000));
        got.push(...timeline.push(value, payload.slice(at, upTo)));
        at = upTo;
      });
      got.push(...timeline.push(0, new Float32Array(0)));
      assert.deepEqual(got, Array.from(payload.slice(preSkip, preSkip + length)));
      expected += length;
      ticks += runTicks;
      assert.equal(timeline.length, expected);
      assert.equal(timeline.ticks, ticks);
      assert.equal(timeline.ticksAt(expected), ticks);
    }
  }
});

test("positions map both ways and never pass the end of a run", () => {
  const timeline = new Timeline({ tickRate: 44100, sampleRate: 48000 });
  timeline.open(312);
  timeline.push(7056, new Float32Array(7680 + 312));
  timeline.open(312);
  timeline.push(7056, new Float32Array(7680 + 312));
  assert.equal(timeline.ticksAt(7680), 7056);
  assert.equal(timeline.offsetAt(7056), 7680);
  assert.equal(timeline.offsetAt(10584), 11520);
  let last = 0;
  for (let offset = 0; offset <= timeline.length; offset++) {
    const ticks = timeline.ticksAt(offset);
    assert.ok(ticks >= last);
    last = ticks;
  }
  assert.equal(last, 14112);
  assert.equal(new Timeline({ tickRate: 1, sampleRate: 1 }).ticksAt(5), 0);
});
