import assert from "node:assert/strict";
import { test } from "node:test";

import { Link } from "../../web_client/link.js";
import { dice, World } from "./model_server.mjs";

const FIRST = "the first text, which is long enough for its writer to be at work while many a connection is lost";
const SECOND = "and another one beside it, which takes its time as well";

/** A link with a clock of its own, a server, and a client that writes two texts and hears them. */
class Play extends World {
  reports = [];
  isBusy = true;
  numSessions = 0;
  faults = [];
  #told = new Set();

  constructor(random, texts = { u: FIRST, v: SECOND }) {
    super(random);
    this.talks = Object.entries(texts).map(([id, text]) => ({ id, wire: "", text, given: 0, heard: "", from: 0, over: false, ended: false }));
    this.link = new Link(
      {
        receive: (message) => this.#receive(message),
        report: (report) => this.reports.push(report),
        fault: (utterance, sentence) => this.faults.push(sentence),
        expecting: () => this.talks.some(({ wire, over }) => wire && !over),
        busy: () => this.isBusy,
      },
      this,
    );
    this.link.connect("ws://model/v1/stream");
  }

  #receive(message) {
    if (message.type === "ready") {
      if (!message.resumed) this.numSessions += 1;
      if (!message.resumed) for (const talk of this.talks) if (talk.wire && !talk.over) this.#restart(talk);
      return;
    }
    const talk = this.talks.find(({ wire }) => wire === message.utterance);
    assert.ok(talk, `${message.type} of an utterance that nobody waits for`);
    assert.ok(!talk.over, `${message.type} after its done`);
    if (message.type === "audio") talk.heard += String.fromCharCode(message.data[0] + 256 * message.data[1]);
    if (message.type === "done") talk.over = true;
    if (message.type === "audio") return;
    const one = [message.type, message.utterance, message.words?.[0][0] ?? message.text_start].join(" ");
    assert.ok(!this.#told.has(one), `${one} came twice`);
    this.#told.add(one);
  }

  #restart(talk) {
    talk.from = talk.given = talk.heard.length;
    talk.ended = false;
    talk.wire = `${talk.id}${this.numSessions}`;
    this.link.send({ type: "start", utterance: talk.wire });
  }

  /** The writer goes on, whether there is a connection or not. */
  write(talk) {
    if (talk.over || !this.numSessions) return;
    if (!talk.wire) {
      talk.wire = talk.id;
      this.link.send({ type: "start", utterance: talk.wire });
    } else if (talk.given < talk.text.length) {
      const text = talk.text.slice(talk.given, talk.given + 1 + Math.floor(2 * this.random()));
      talk.given += text.length;
      this.link.send({ type: "text", utterance: talk.wire, text });
    } else if (!talk.ended) {
      talk.ended = true;
      this.link.send({ type: "end", utterance: talk.wire });
    }
  }

  /** Tells what came of one, if it may. */
  tell(talk) {
    if (!talk.wire || talk.over) return;
    this.link.send({ type: "playhead", utterance: talk.wire, received: talk.heard.length - talk.from });
  }

  /** Everything goes well until all is heard. */
  finish() {
    for (let round = 0; round < 2000 && !this.talks.every(({ over }) => over); round++) {
      this.flow();
      for (const talk of this.talks) this.write(talk);
      this.server.work();
      this.flow();
      this.tick();
    }
    assert.deepEqual(this.talks.map(({ heard }) => heard), this.talks.map(({ text }) => text));
    for (const { id, text } of this.talks) {
      const told = [...this.#told].filter((one) => one.startsWith(`words ${id}`)).length;
      assert.ok(told >= text.length, `expected the words of ${text.length} characters, got ${told}`);
    }
    assert.deepEqual(this.faults, []);
  }
}

/** One thing that may happen, in any order. */
function happen(play) {
  const chance = play.random();
  const talk = play.talks[Math.floor(play.random() * play.talks.length)];
  if (chance < 0.12) play.write(talk);
  else if (chance < 0.22) play.tell(talk);
  else if (chance < 0.23) play.link.nudge();
  else if (chance < 0.235) play.link.retry();
  else play.happen((chance - 0.235) / 0.765);
}

test("over links that break at any point every sample is heard once, and every text said once", () => {
  let resumes = 0;
  let sessions = 0;
  for (let seed = 0; seed < 150; seed++) {
    const play = new Play(dice(seed));
    for (let step = 0; step < 1000; step++) happen(play);
    play.finish();
    resumes += play.wires.length;
    sessions += play.numSessions;
  }
  assert.ok(resumes > 1500, `expected many connections, got ${resumes}`);
  assert.ok(sessions > 200, `expected some sessions to be lost, got ${sessions}`);
});

test("a connection that is cut after any message goes on where it was", () => {
  for (let after = 0; after < 120; after++) {
    const play = new Play(dice(after));
    for (let count = 0; count < after; count++) {
      if (play.wire.readyState === 0) play.wire.open();
      else if (play.wire.up.length) play.server.take(play.wire);
      else if (play.wire.down.length) play.wire.deliver();
      else {
        for (const talk of play.talks) play.write(talk);
        play.server.work();
      }
    }
    play.wire.cut();
    play.finish();
    assert.equal(play.wires.length, 2);
    assert.equal(play.numSessions, 1);
  }
});

test("a link that goes silent is left for another one in under five seconds", () => {
  const play = new Play(dice(1));
  play.flow();
  for (let count = 0; count < 5; count++) for (const talk of play.talks) play.write(talk);
  play.flow();
  play.wire.isMute = true;
  const since = play.clock;
  while (play.wires.length === 1) play.tick();
  assert.ok(play.clock - since < 5000, `${play.clock - since} ms`);
  assert.equal(play.reports.at(-1).state, "lost");
  play.finish();
});

test("an idle link is left alone", () => {
  const play = new Play(dice(1), {});
  play.flow();
  while (play.clock < 19_000) play.tick();
  assert.equal(play.wire.up.length, 0);
  while (play.clock < 600_000) {
    play.tick();
    play.flow();
  }
  assert.equal(play.wires.length, 1);
});

test("a server that is away is tried at once, and then at most every eight seconds", () => {
  const play = new Play(() => 0.999);
  play.flow();
  play.wire.cut();
  const waits = [];
  for (let count = 0; count < 7; count++) {
    const since = play.clock;
    const before = play.wires.length;
    while (play.wires.length === before) play.tick();
    waits.push(play.clock - since);
    play.wire.cut();
  }
  assert.deepEqual(waits, [0, 500, 999, 1998, 3996, 7992, 7992]);
  const before = play.wires.length;
  play.link.nudge();
  assert.equal(play.wires.length, before + 1, "a changed network is a reason to try at once");
});

test("a connection that never gets ready is given up", () => {
  const play = new Play(dice(1));
  while (play.wires.length === 1) play.tick();
  assert.ok(play.clock >= 6000 && play.clock < 7000);
  play.wire.open(); // and no answer comes
  while (play.wires.length === 2) play.tick();
  assert.ok(play.clock < 14_000);
  play.finish();
});

test("a link that is closed for its silence rests until there is something to say", () => {
  const play = new Play(dice(1));
  play.flow();
  play.isBusy = false;
  play.wire.onclose({ code: 4408, reason: "" });
  assert.equal(play.reports.at(-1).state, "resting");
  for (let count = 0; count < 100; count++) play.tick();
  play.link.nudge();
  assert.equal(play.wires.length, 1);
  play.isBusy = true;
  play.link.wake();
  assert.equal(play.wires.length, 2);
  play.link.wake(); // it is on its way
  assert.equal(play.wires.length, 2);
  play.finish();
  assert.equal(play.numSessions, 2);
});

test("what a server closes for good is not tried again", () => {
  for (const [code, state] of [[1008, "refused"], [4409, "refused"], [4400, "refused"], [1001, "lost"], [1013, "lost"], [4408, "lost"]]) {
    const play = new Play(dice(1));
    play.wire.open();
    play.wire.onclose({ code, reason: "" });
    assert.equal(play.reports.at(-1).state, state, String(code));
  }
});
