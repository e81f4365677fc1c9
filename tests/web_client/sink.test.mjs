import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";

import { Heard } from "../../web_client/heard.js";
import { Playhead } from "../../web_client/playhead.js";
import { Sink } from "../../web_client/sink.js";
import { QUANTUM } from "./listening.mjs";

/** A sink with both its lines, and time that is pulled. */
function playing(options = {}) {
  const page = [];
  const net = [];
  const port = { postMessage: (message) => net.push(message), onmessage: null };
  const sink = new Sink({ sampleRate: 8000, rtf: 0, ...options }, (message) => page.push(structuredClone(message)));
  sink.command({ type: "port", port });
  let frame = 0;
  return {
    page, net, command: (message) => sink.command(message), send: (message) => port.onmessage({ data: message }),
    spend: (frames) => {
      const sound = [];
      for (const end = frame + frames; frame < end; frame += QUANTUM) {
        const out = new Float32Array(QUANTUM);
        sink.pull(out, frame);
        sound.push(...out);
      }
      return sound;
    },
  };
}

test("the Worker learns when speech sounds and what was heard, the device's latency taken off", () => {
  const { net, command, send, spend } = playing();
  command({ type: "latency", frames: 400 });
  send({ type: "open", track: 0 });
  send({ type: "audio", track: 0, samples: new Int16Array(8000).fill(9) });
  send({ type: "end", track: 0 });
  spend(2 * 8000);
  assert.deepEqual(net[0], { type: "sounding", track: 0 });
  const heard = net.filter(({ type }) => type === "heard");
  assert.ok(heard.length >= 8 && heard.length <= 14, `${heard.length} reports in a second`);
  assert.equal(heard.at(-1).offset, 8000);
  for (const [index, { offset }] of heard.entries()) assert.ok(index === 0 || offset > heard[index - 1].offset);
  assert.ok(heard[1].offset <= 2 * 896 - 400);
});

test("the page learns that speech waits for more text", () => {
  const { page, send, spend } = playing();
  send({ type: "open", track: 0 });
  send({ type: "audio", track: 0, samples: new Int16Array(800).fill(9) });
  spend(1024);
  assert.equal(page.at(-1).state, "buffering");
  assert.equal(page.at(-1).underruns, 0);
});

test("an idle sink says nothing", () => {
  const { page, net, spend } = playing();
  spend(800);
  const before = page.length;
  spend(80000);
  assert.equal(page.length, before);
  assert.deepEqual(net, []);
});

test("a stop is answered with the place, also when nothing sounds", () => {
  const { net, command, send, spend } = playing();
  command({ type: "stop", track: 3 });
  assert.deepEqual(net.pop(), { type: "cut", track: 3, heard: { track: -1, offset: 0 } });
  send({ type: "open", track: 4 });
  send({ type: "audio", track: 4, samples: new Int16Array(8000).fill(9) });
  spend(1280);
  command({ type: "stop", track: 4 });
  const { type, track, heard } = net.pop();
  assert.deepEqual([type, track, heard.track, heard.offset], ["cut", 4, 4, 1280 + 40]);
});

test("the page's account of what was heard agrees with the sink's at every report", () => {
  const { page, send, spend } = playing();
  const heard = new Heard();
  send({ type: "open", track: 0 });
  for (let round = 0; round < 20; round++) {
    send({ type: "audio", track: 0, samples: new Int16Array(700).fill(9) });
    spend(1024);
  }
  send({ type: "end", track: 0 });
  spend(8000);
  let last = 0;
  for (const { runs, frame } of page) {
    heard.merge(runs);
    const { offset } = heard.at(frame);
    assert.ok(offset >= last);
    last = offset;
  }
  assert.equal(last, 20 * 700);
  assert.ok(page.flatMap(({ dry }) => dry).length > 0);
  assert.deepEqual(page.flatMap(({ ended }) => ended), [0]);
});

test("a pause is told to both sides at once", () => {
  const { page, net, command, send, spend } = playing();
  send({ type: "open", track: 0 });
  send({ type: "audio", track: 0, samples: new Int16Array(8000).fill(9) });
  spend(1280);
  command({ type: "pause", paused: true });
  spend(QUANTUM);
  assert.equal(net.at(-1).paused, true);
  assert.equal(page.at(-1).paused, true);
});

test("the tape is what was put out", () => {
  const { page, command, send, spend } = playing({ record: true });
  spend(1280);
  send({ type: "open", track: 0 });
  send({ type: "audio", track: 0, samples: Int16Array.from({ length: 1000 }, (_, index) => index) });
  send({ type: "end", track: 0 });
  spend(2560);
  command({ type: "tape" });
  const { frame, samples, runs } = page.at(-1);
  assert.equal(frame, 1280);
  assert.deepEqual(runs, [{ frame: 1280, track: 0, offset: 0, length: 1000 }]);
  assert.deepEqual([...samples.slice(0, 1000)].map((value) => value * 32768), Array.from({ length: 1000 }, (_, i) => i));
});

test("a playhead is sent on change only, and no more than ten a second", async () => {
  const sent = [];
  const playhead = new Playhead((progress) => sent.push({ ...progress }));
  playhead.update({ received: 1 });
  playhead.update({ received: 1 });
  for (let played = 0; played < 50; played++) {
    playhead.update({ played });
    await sleep(5);
  }
  await sleep(150);
  assert.deepEqual(sent[0], { received: 1 });
  assert.deepEqual(sent.at(-1), { received: 1, played: 49 });
  assert.ok(sent.length >= 3 && sent.length <= 8, `${sent.length} in 400 ms`);
  playhead.close();
  playhead.update({ played: 99 });
  await sleep(120);
  assert.equal(sent.at(-1).played, 49);
});

test("other sound takes the place of what was to come, after a fade and without a hole", () => {
  const { net, page, send, spend } = playing();
  send({ type: "open", track: 0 });
  for (let count = 0; count < 4; count++) send({ type: "audio", track: 0, samples: new Int16Array(1000).fill(8192) });
  spend(512);
  send({ type: "splice", track: 0, offset: 1500, due: true });
  assert.deepEqual(net.at(-1), { type: "spliced", track: 0, offset: 1500 });
  send({ type: "run", track: 0 });
  send({ type: "audio", track: 0, samples: new Int16Array(500).fill(16384) });
  send({ type: "end", track: 0 });
  const sound = spend(4096);
  const at = 1500 - 512;
  assert.ok(sound.slice(0, at - 80).every((value) => value === 0.25));
  for (let index = at - 79; index < at; index++) assert.ok(sound[index] < sound[index - 1], "softer and softer");
  assert.equal(sound[at - 1], 0);
  assert.ok(sound.slice(at, at + 500).every((value) => value === 0.5));
  assert.ok(sound.slice(at + 500).every((value) => value === 0));
  assert.equal(net.findLast(({ type }) => type === "heard").offset, 2000);
  assert.equal(page.at(-1).underruns, 0);
});

test("a splice where the ear has been already is made where it is, and a hole before it counts if speech was due", () => {
  for (const due of [true, false]) {
    const { net, page, send, spend } = playing();
    send({ type: "open", track: 0 });
    send({ type: "audio", track: 0, samples: new Int16Array(800).fill(9) });
    spend(2048);
    send({ type: "splice", track: 0, offset: 300, due });
    assert.deepEqual(net.at(-1), { type: "spliced", track: 0, offset: 800 });
    send({ type: "run", track: 0 });
    send({ type: "audio", track: 0, samples: new Int16Array(800).fill(9) });
    spend(2048);
    assert.equal(page.at(-1).underruns, due ? 1 : 0);
  }
});

test("a splice of a track that was stopped changes nothing", () => {
  const { net, command, send } = playing();
  send({ type: "open", track: 0 });
  command({ type: "stop", track: 0 });
  send({ type: "splice", track: 0, offset: 300, due: true });
  assert.deepEqual(net.at(-1), { type: "spliced", track: 0, offset: 300 });
});
