import assert from "node:assert/strict";
import { setImmediate as settled } from "node:timers/promises";
import { test } from "node:test";

import { Switchboard } from "../../web_client/switchboard.js";
import { dice, World } from "./model_server.mjs";

const TEXT = "Speech goes on where it was, whatever becomes of the link: no sample is lost, and none is heard twice.";
const squeezed = (text) => text.replace(/[\s\p{P}]/gu, "");

/** The page and the playing thread of a Switchboard, with an ear that hears as much as it is told to. */
class Page extends World {
  scope = { postMessage: (message) => this.told.push(message), onmessage: null };
  told = [];
  sink = { postMessage: (message) => this.#toSink(message), onmessage: null };
  /** @type {{samples: number[], heard: number, ended: boolean}[]} */
  tracks = [];

  constructor(random = dice(1)) {
    super(random);
    this.switchboard = new Switchboard(this.scope, this);
    this.say({ type: "connect", url: "ws://model/v1/stream" });
    this.say({ type: "sink", port: this.sink, sampleRate: 44100 });
  }

  say(data) {
    this.scope.onmessage({ data });
  }

  #toSink(message) {
    const track = this.tracks[message.track];
    if (message.type === "open") this.tracks[message.track] = { samples: [], heard: 0, ended: false };
    if (message.type === "audio") track.samples.push(...message.samples);
    if (message.type === "end") track.ended = true;
    if (message.type === "truncate") track.samples.length = Math.max(track.heard, message.offset);
    if (message.type !== "splice") return;
    const offset = Math.max(track.heard, message.offset);
    track.samples.length = offset;
    const answer = () => this.sink.onmessage({ data: { type: "spliced", track: message.track, offset } });
    setImmediate(() => setImmediate(() => setImmediate(answer))); // a few things may happen until then
  }

  /** The ear goes on. */
  hear(number, count = 1) {
    const track = this.tracks[number];
    track.heard = Math.min(track.samples.length, track.heard + count);
    this.sink.onmessage({ data: { type: "heard", track: number, offset: track.heard, paused: false } });
  }

  start(number, fields = {}) {
    this.say({ type: "start", track: number, start: { type: "start", utterance: `u-${number}`, ...fields } });
  }

  write(number, text) {
    this.say({ type: "text", utterance: `u-${number}`, text });
  }

  end(number) {
    this.say({ type: "end", utterance: `u-${number}` });
  }

  async connected() {
    this.flow();
    await settled();
    return this;
  }

  /** All goes well for a while. */
  async run(rounds = 30) {
    for (let round = 0; round < rounds; round++) {
      this.flow();
      this.server.work();
      this.flow();
      await settled();
    }
  }

  spoken(number) {
    return String.fromCharCode(...this.tracks[number].samples);
  }

  of(type) {
    return this.told.filter((message) => message.type === type);
  }
}

test("over links that break and servers that forget the ear misses nothing and hears nothing twice", async () => {
  let restarts = 0;
  for (let seed = 0; seed < 60; seed++) {
    const page = await new Page(dice(seed)).connected();
    page.start(0, { voice: "v" });
    let written = 0;
    for (let step = 0; step < 700; step++) {
      const chance = page.random();
      if (chance < 0.06 && written < TEXT.length) page.write(0, TEXT.slice(written, (written += 3)));
      else if (chance < 0.15) page.hear(0);
      else if (chance < 0.158) page.server.letGo();
      else if (chance < 0.16) page.server.drain();
      else if (chance < 0.167) page.server.forget();
      else page.happen((chance - 0.167) / 0.833);
      await settled();
    }
    if (page.server.isDraining) page.server.forget();
    page.write(0, TEXT.slice(written));
    page.end(0);
    for (let round = 0; round < 200 && !page.tracks[0].ended; round++) {
      await page.run(5);
      page.tick();
    }
    assert.equal(squeezed(page.spoken(0)), squeezed(TEXT), `seed ${seed}`);
    assert.deepEqual(page.of("error"), []);
    restarts += page.of("restarted").length;
    const words = new Map(page.of("words").flatMap(({ words: told }) => told.map(([start, , pts]) => [pts, start])));
    page.tracks[0].samples.forEach((code, tick) => assert.equal(TEXT.charCodeAt(words.get(tick)), code));
  }
  assert.ok(restarts > 40, `expected many restarts, got ${restarts}`);
});

test("the rest is asked for in the same voice, with the same seed, and waits for what it had to wait for", async () => {
  const page = await new Page().connected();
  page.start(0, { speed: 1.5 });
  page.start(1, { after: "u-0" });
  for (const number of [0, 1]) page.write(number, "abcd");
  await page.run(2);
  page.server.forget();
  page.tick();
  await page.run(10);
  for (const number of [0, 1]) page.end(number);
  await page.run(10);
  const [, , first, second] = page.server.starts;
  assert.deepEqual(first, { ...first, utterance: "u-0.1", voice: "v", seed: 1, params: {}, speed: 1.5 });
  assert.deepEqual([second.utterance, second.after], ["u-1.1", "u-0.1"]);
  assert.deepEqual([page.spoken(0), page.spoken(1)], ["abcd", "abcd"]);
});

test("what was begun without a connection is said when there is one", async () => {
  const page = await new Page().connected();
  page.wire.cut();
  page.start(0);
  page.write(0, "abc");
  page.end(0);
  page.tick();
  await page.run();
  assert.equal(page.spoken(0), "abc");
  assert.equal(page.server.starts.length, 1);
});

test("of many begun without a connection no more are asked for than the session takes at a time", async () => {
  const page = await new Page().connected();
  page.wire.cut();
  for (let number = 0; number < 5; number++) {
    page.start(number);
    page.write(number, "abc");
    page.end(number);
  }
  page.tick();
  page.flow();
  await settled();
  page.flow();
  assert.equal(page.server.starts.length, 2);
  await page.run();
  assert.deepEqual([0, 1, 2, 3, 4].map((number) => page.spoken(number)), Array(5).fill("abc"));
});

test("what was stopped is not begun again", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.start(1);
  page.write(0, "abcdef");
  await page.run(2);
  page.say({ type: "stop", track: 1 });
  page.sink.onmessage({ data: { type: "cut", track: 1, heard: { track: 0, offset: 1 } } });
  page.server.forget();
  page.tick();
  await page.run();
  assert.deepEqual(page.of("done").map(({ reason }) => reason), ["cancelled", "cancelled"]);
  assert.equal(page.server.starts.length, 2);
});

test("one that was to stop at a word, in a session that is gone, has stopped where its sound ends", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "abc def");
  await page.run(4);
  page.server.forget();
  page.say({ type: "stop-at-word", utterance: "u-0" });
  page.tick();
  await page.run();
  const [{ reason, spoken }] = page.of("done");
  assert.equal(reason, "cancelled");
  assert.deepEqual(spoken, { text_end: 4, pts: page.spoken(0).length });
});

test("a server that goes away is not asked for more, and the next one says the rest", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "abcd");
  await page.run(2);
  page.server.drain();
  page.start(1);
  page.write(1, "ef");
  page.end(1);
  await page.run(5);
  assert.equal(page.server.starts.length, 2, "the second one crossed the server's word");
  assert.deepEqual([page.of("drain").length, page.of("done").length], [1, 0]);
  page.server.forget();
  page.tick();
  page.end(0);
  await page.run();
  assert.deepEqual([page.spoken(0), page.spoken(1)], ["abcd", "ef"]);
  assert.deepEqual(page.of("error"), []);
});

test("a rest that finds no room is asked for again; a start that finds none is told", async (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "abcd");
  await page.run(2);
  page.server.forget();
  page.server.refusal = { code: "busy", retry_after_ms: 200 };
  page.tick();
  await page.run(5);
  page.start(1);
  await page.run(5);
  assert.deepEqual(page.of("error").map(({ code, utterance }) => [code, utterance]), [["busy", "u-1"]]);
  page.server.refusal = null;
  page.end(0);
  context.mock.timers.tick(200);
  await page.run();
  assert.equal(page.spoken(0), "abcd");
});

test("the download is what was heard, also where the rest came from elsewhere", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "abcdefgh");
  page.end(0);
  await page.run(4);
  page.hear(0, 2);
  page.server.forget();
  page.tick();
  await page.run();
  page.say({ type: "wav", utterance: "u-0" });
  const [{ file }] = page.of("wav");
  assert.equal(String.fromCharCode(...new Int16Array(file.slice(44))), "abcdefgh");
  assert.equal(page.of("audio").at(-1).length, 8);
});

test("what is said on a page whose idle connection was closed opens another, and all of it is heard", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "before");
  page.end(0);
  await page.run();
  page.wire.onclose({ code: 4408, reason: "" });
  assert.equal(page.told.at(-1).state, "resting");
  assert.equal(page.wires.length, 1);
  page.start(1);
  page.write(1, "after");
  page.end(1);
  assert.equal(page.wires.length, 2);
  await page.run();
  assert.ok(page.tracks[1].ended);
  assert.equal(page.told.filter(({ type }) => type === "done").length, 2);
  assert.deepEqual(page.told.filter(({ type }) => type === "restarted" || type === "error"), []);
});

test("a page that is touched again and again does not give up the connection that its first touch began", async () => {
  const page = await new Page().connected();
  page.wire.onclose({ code: 4408, reason: "" });
  for (let touch = 0; touch < 3; touch++) page.say({ type: "wake" });
  assert.equal(page.wires.length, 2);
  await page.run();
  page.say({ type: "wake" });
  assert.equal(page.told.at(-1).state, "ready");
  assert.equal(page.wires.length, 2);
});

test("a connection that is closed while something is said is opened again at once", async () => {
  const page = await new Page().connected();
  page.start(0);
  page.write(0, "not all of it");
  page.wire.onclose({ code: 4408, reason: "" });
  assert.deepEqual(page.told.at(-1), { type: "link", state: "lost", retryMs: 0, reason: "" });
  page.tick();
  assert.equal(page.wires.length, 2);
  page.end(0);
  await page.run();
  assert.ok(page.tracks[0].ended);
});
