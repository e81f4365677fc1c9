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

for (const rtf of [1.5, 3]) {
  for (const perSecond of [Infinity, 40]) {
    const how = perSecond === Infinity ? "a text that is there at once" : "what a model writes";
    test(`at rtf ${rtf} ${how} plays without a gap although each clause begins with long work`, () => {
      for (const prefill of [1, 2, 4]) {
        for (const clauses of [[50], [20, 40, 80, 130], [25, 30, 60, 40]]) {
          for (const length of [150, 400, 900]) {
            const { starts, startS, leastS } = hear({ text: text(length), rtf, prefill, clauses, perSecond, seed: length });
            const world = `${length} letters, clauses of ${clauses}, ${prefill} s before each: `;
            assert.equal(starts, 1, `${world}it stopped ${starts - 1} times`);
            assert.ok(startS <= 1.35 * leastS + 1, `${world}started after ${startS} s, ${leastS} s would have done`);
          }
        }
      }
    });
  }

  test(`at rtf ${rtf} who types slowly hears whole clauses although each begins with long work`, () => {
    for (const prefill of [1, 2, 4]) {
      const heard = SEEDS.map((seed) => hear({ text: text(400), rtf, prefill, seed, perSecond: 8 }));
      const underruns = heard.reduce((sum, one) => sum + one.underruns, 0);
      assert.ok(underruns <= heard.length, `${underruns} in ${heard.length} texts of eight clauses`);
      for (const { startS, leastS } of heard) assert.ok(startS <= 1.35 * leastS + 1, `${startS} s, ${leastS} s would have done`);
    }
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
  const silence = (prospect) => {
    const playout = new Playout({ sampleRate: RATE });
    playout.open(0);
    playout.head.headstart.learn({ length: 60 * RATE, ...prospect }, RATE);
    playout.push(0, new Int16Array(2 * RATE).fill(1));
    const out = new Float32Array(128);
    let frame = 0;
    for (; playout.state !== "playing" && frame < 90 * RATE; frame += 128) playout.pull(out, frame);
    return Math.round(frame / RATE);
  };
  assert.equal(silence({ rtf: 1.5 }), 6, "the time of 25 patches");
  assert.equal(silence({ rtf: 3, pace: 1.5 }), 6, "what clauses begin with is no patch");
  assert.equal(silence({ rtf: 1.5, unspoken: true }), 14, "of 60 where text is known to be due: it may be a block of code");
  assert.equal(silence({ rtf: 3, unspoken: true }), 29);
});

test("a pause is the writer's once all that was written sounds, up to its last letter", () => {
  const outlook = new Outlook({ rtf: 3 });
  assert.equal(outlook.unspoken, false);
  outlook.write("Well, it rests. :-)\n", 0);
  assert.equal(outlook.unspoken, true);
  outlook.begin(0, 15, 0);
  outlook.reach(8, 0.6);
  assert.equal(outlook.unspoken, true);
  outlook.reach(14, 1.2);
  assert.equal(outlook.unspoken, false);
  outlook.write("好", 0);
  assert.equal(outlook.unspoken, true);
});

test("a clause that lasts less long than was thought is not waited for once it is whole", () => {
  const playout = new Playout({ sampleRate: RATE, rtf: 1.5 });
  const out = new Float32Array(128);
  playout.open(0);
  playout.head.headstart.learn({ length: 4 * RATE, rtf: 1.5 }, RATE);
  playout.push(0, new Int16Array(3 * RATE).fill(1));
  playout.head.mark(2 * RATE, 3 * RATE);
  playout.head.mark(3 * RATE, RATE);
  playout.push(0, new Int16Array(RATE / 2).fill(1));
  playout.end(0);
  for (let frame = 0; playout.state !== "idle"; frame += 128) playout.pull(out, frame);
  assert.deepEqual(playout.events.map(({ type }) => type), ["start", "end"]);
});

test("a Chinese character, a digit and the speed count for what they take", () => {
  const seconds = (written, options) => {
    const outlook = new Outlook({ rtf: 3, ...options });
    outlook.write(written, 0);
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

test("what clauses begin with is learnt from the first on, and told apart from the writer's time", () => {
  const outlook = new Outlook({ rtf: 1.5 });
  outlook.write(text(60), 0);
  outlook.write(text(50), 10_000);
  outlook.begin(0, 60, 0);
  outlook.arrive(0.16, 3240); // three seconds, and a patch of 0.24 s
  for (let index = 1; index < 30; index++) outlook.arrive(0.16, 3240 + 240 * index);
  assert.ok(Math.abs(outlook.pace - 1.5) < 0.001);
  const { rtf } = outlook;
  assert.ok(rtf > 2.1 && rtf < 2.6, `3 s more, for about 3.6 s: ${rtf}`);
  outlook.rest();
  outlook.begin(60, 110, 4.8);
  outlook.arrive(0.16, 13_240);
  assert.ok(Math.abs(outlook.rtf - outlook.pace) < 0.001, "no more is to begin");
  outlook.write(text(50), 20_000);
  assert.ok(outlook.rtf > 1.8 && outlook.rtf < 2, `3 s more, for two clauses: ${outlook.rtf}`);
});

test("the time in which another utterance was made is no work for this one", () => {
  const outlook = new Outlook({ rtf: 1.5 });
  outlook.write(text(120), 0);
  outlook.queue(60_000);
  outlook.begin(0, 60, 0);
  outlook.arrive(0.16, 61_240);
  const { rtf } = outlook;
  outlook.queue(61_300);
  outlook.arrive(0.16, 61_480);
  assert.ok(rtf > 1.6 && rtf < 2.3, `one second for each clause: ${rtf}`);
  assert.ok(Math.abs(outlook.pace - 1.5) < 0.001);
});

test("a listener who pauses loses nothing of what a slow server makes ahead", () => {
  const playout = new Playout({ sampleRate: RATE, rtf: 1.5 });
  const second = new Int16Array(RATE).fill(1);
  const out = new Float32Array(4096);
  const pushed = [0, 1, 2, 3, 4, 5, 6, 7];
  playout.pause();
  for (const track of pushed) {
    playout.open(track);
    for (let s = 0; s <= 300; s++) playout.push(track, second);
    playout.end(track);
  }
  playout.pull(out, 0);
  assert.equal(playout.state, "buffering");
  playout.resume();
  for (let frame = out.length; playout.state !== "idle"; frame += out.length) playout.pull(out, frame);
  assert.equal(playout.refused, 0);
  const ends = playout.events.filter(({ type }) => type === "end").map(({ offset }) => offset / RATE);
  assert.deepEqual(ends, pushed.map(() => 301));
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
  spend(13 * RATE);
  assert.equal(page.at(-1).wait, null, "nothing comes any more: it is the writer who is waited for");
});
