import assert from "node:assert/strict";
import { test } from "node:test";

import { Headstart } from "../../web_client/headstart.js";
import { Outlook } from "../../web_client/outlook.js";
import { Playout } from "../../web_client/playout.js";
import { Sink } from "../../web_client/sink.js";
import { hear } from "./slowness.mjs";

const RATE = 8000;
const SENTENCE = "The quick brown fox jumps over the lazy dog, and then it rests. ";
const SEEDS = [0, 1, 2, 3, 4, 5, 6, 7];
const text = (length) => SENTENCE.repeat(Math.ceil(length / SENTENCE.length)).slice(0, length);

for (const rtf of [1.5, 3, 5]) {
  test(`at rtf ${rtf} a text that is there at once plays without a gap, and waits little longer than it must`, () => {
    for (const [length, seed] of [150, 400, 900].flatMap((length) => SEEDS.map((seed) => [length, seed]))) {
      const { underruns, startS, seconds, madeS } = hear({ text: text(length), rtf, seed });
      assert.equal(underruns, 0, `${length} letters, seed ${seed}`);
      const least = madeS - seconds;
      assert.ok(startS >= least && startS <= 1.3 * least + 2, `started after ${startS} s, ${least} s would have done`);
    }
  });

  test(`at rtf ${rtf} what a model writes plays without a gap`, () => {
    for (const seed of SEEDS) assert.equal(hear({ text: text(400), rtf, seed, perSecond: 40 }).underruns, 0, `seed ${seed}`);
  });

  test(`at rtf ${rtf} speech pauses between the clauses of who types slowly, and hardly ever in one`, () => {
    const heard = SEEDS.map((seed) => hear({ text: text(400), rtf, seed, perSecond: 8 }));
    const underruns = heard.reduce((sum, one) => sum + one.underruns, 0);
    assert.ok(underruns <= SEEDS.length / 4, `${underruns} in ${SEEDS.length} texts`);
    for (const { startS, seconds } of heard) assert.ok(startS < 400 / 8 + rtf * seconds);
  });
}

test("a speaker who is slower or faster than expected is found out in time", () => {
  const broken = [0.05, 0.06, 0.09].flatMap((pace) => SEEDS.map((seed) => hear({ text: text(400), rtf: 3, pace, seed }).underruns));
  assert.ok(broken.filter(Boolean).length <= 2, `${broken}`);
});

test("a machine that is slower than it said is found out in time", () => {
  for (const seed of SEEDS) assert.equal(hear({ text: text(400), rtf: 3, announced: 2, seed }).underruns, 0, `seed ${seed}`);
});

test("the wait that is shown comes true", () => {
  for (const rtf of [1.5, 3, 5]) {
    const { waits, startS } = hear({ text: text(400), rtf });
    for (const { ms, atS } of waits.slice(waits.length / 4)) {
      assert.ok(Math.abs(atS + ms / 1000 - startS) < 0.35 * startS, `at ${atS} s it said ${ms} ms; it was ${startS - atS} s`);
    }
    assert.ok(waits.at(-1).share > 0.9 && waits.every(({ share }) => share >= 0 && share < 1));
  }
});

test("who does not want to wait hears it at once, with pauses, and every sample of it", () => {
  const { startS, underruns, refused } = hear({ text: text(400), rtf: 3, impatientAt: 4 });
  assert.ok(startS < 6);
  assert.ok(underruns > 0);
  assert.equal(refused, 0);
});

test("a fast server's speech is never held back", () => {
  const headstart = new Headstart();
  assert.equal(headstart.wait({ played: 0, buffered: 0 }), null);
  headstart.learn({ length: 80 * RATE, rtf: 0.97 }, RATE);
  assert.equal(headstart.wait({ played: 0, buffered: 0 }), null);
});

test("the last words of a writer who pauses are heard, however long the text was thought to be", () => {
  const playout = new Playout({ sampleRate: RATE, rtf: 3 });
  playout.open(0);
  playout.head.headstart.learn({ length: 60 * RATE, rtf: 3 }, RATE);
  playout.push(0, new Int16Array(2 * RATE).fill(1));
  const out = new Float32Array(128);
  let frame = 0;
  for (; playout.state !== "playing" && frame < 20 * RATE; frame += 128) playout.pull(out, frame);
  assert.ok(frame >= 3 * RATE && frame < 5 * RATE, `after ${frame / RATE} s`);
});

test("a Chinese character, a digit and the speed count for what they take", () => {
  const seconds = (written, options) => {
    const outlook = new Outlook({ rtf: 3, ...options });
    outlook.write(written);
    return outlook.seconds;
  };
  assert.ok(Math.abs(seconds("今天天气很好我们出去走走") - 2.4) < 0.1);
  assert.ok(seconds("1234567890") > 2.5 * seconds("abcdefghij"));
  assert.ok(Math.abs(seconds(SENTENCE, { speed: 2 }) - seconds(SENTENCE) / 2) < 0.001);
});

test("the time in which nobody wrote is no work of the machine's", () => {
  const outlook = new Outlook({ rtf: 1.5 });
  for (let ms = 0; ms < 4800; ms += 240) outlook.arrive(0.16, ms);
  outlook.rest();
  outlook.arrive(0.16, 60_000);
  assert.ok(Math.abs(outlook.rtf - 1.5) < 0.01, String(outlook.rtf));
});

test("the page is told of the wait, and the server where a paused listener stands", () => {
  const page = [];
  const net = [];
  const port = { postMessage: (message) => net.push(message), onmessage: null };
  const sink = new Sink({ sampleRate: RATE, rtf: 3 }, (message) => page.push(structuredClone(message)));
  sink.command({ type: "port", port });
  const send = (message) => port.onmessage({ data: message });
  let frame = 0;
  const spend = (frames) => {
    for (const end = frame + frames; frame < end; frame += 128) sink.pull(new Float32Array(128), frame);
  };
  send({ type: "open", track: 0 });
  send({ type: "outlook", track: 0, length: 30 * RATE, rtf: 3 });
  send({ type: "audio", track: 0, samples: new Int16Array(2 * RATE).fill(9) });
  spend(RATE / 2);
  const { wait } = page.at(-1);
  assert.ok(wait.ms > 40_000 && wait.ms < 70_000 && wait.share > 0.05 && wait.share < 0.15, JSON.stringify(wait));
  assert.deepEqual(net, []);
  sink.command({ type: "pause", paused: true });
  spend(128);
  assert.deepEqual(net, [{ type: "heard", track: 0, offset: 0, paused: true }]);
  sink.command({ type: "pause", paused: false });
  sink.command({ type: "hurry" });
  spend(RATE / 2);
  assert.equal(page.at(-1).state, "playing");
  assert.equal(page.at(-1).wait, null);
  spend(2 * RATE);
  assert.ok(page.at(-1).wait, "it has run dry, and waits again");
  spend(2 * RATE);
  assert.equal(page.at(-1).wait, null, "nothing comes any more: it is the writer who is waited for");
});
