import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { Journal, OrderFault } from "../../web_client/journal.js";

const VECTORS = JSON.parse(readFileSync(new URL("../../protocol/vectors.json", import.meta.url), "utf8"));
const start = (utterance) => ({ type: "start", utterance });
const text = (utterance, delta) => ({ type: "text", utterance, text: delta });
const said = (type, seq, fields = {}) => ({ type, utterance: "u", seq, ...fields });
const audio = (seq, pts = 10 * seq) => said("audio", seq, { pts, samples: 10 });
const resumed = (client_messages) => ({ type: "ready", resumed: true, client_messages });

/** A journal of an utterance that has got `messages`. */
function heard(...messages) {
  const journal = new Journal();
  journal.give(start("u"));
  for (const message of messages) assert.equal(journal.take(message), true);
  return journal;
}

for (const { name, steps } of VECTORS.resumes) {
  test(name, () => {
    const journal = new Journal();
    for (const { sends, gets, news, resumes, again } of steps) {
      if (sends) journal.give(sends);
      if (gets) assert.equal(journal.take(gets), news, `${gets.type} ${gets.seq}`);
      if (!resumes) continue;
      assert.deepEqual(journal.received, resumes.received);
      assert.deepEqual(journal.ready(resumed(resumes.client_messages)), again);
    }
  });
}

test("what the server has not taken is sent again, and counted anew", () => {
  const journal = new Journal();
  for (const message of [start("u"), text("u", "one "), text("u", "two ")]) journal.give(message);
  assert.deepEqual(journal.ready(resumed(2)), [text("u", "two ")]);
  journal.give(text("u", "three"));
  assert.deepEqual(journal.ready(resumed(1)), [text("u", "three")]);
  assert.deepEqual(journal.ready(resumed(1)), []);
});

test("what was sent to an utterance that is over is not sent again, though it counts", () => {
  const journal = new Journal();
  for (const message of [start("u"), start("v"), text("u", "a"), text("v", "b")]) journal.give(message);
  journal.take(said("started", 0));
  journal.take(said("done", 0, { reason: "end", samples: 0 }));
  assert.deepEqual(journal.received, { v: 0 });
  assert.deepEqual(journal.ready(resumed(3)), [text("v", "b")]);
});

test("a refused start ends its utterance", () => {
  const journal = new Journal();
  journal.give(start("u"));
  assert.equal(journal.take({ type: "error", code: "busy", message: "", utterance: "u" }), true);
  assert.deepEqual(journal.live, []);
  assert.deepEqual(journal.ready(resumed(0)), []);
});

test("a fresh session knows of nothing", () => {
  const journal = heard(said("started", 0), said("segment", 0), audio(0));
  assert.deepEqual(journal.ready({ type: "ready", resumed: false, client_messages: 0 }), []);
  assert.deepEqual([journal.live, journal.received], [[], {}]);
});

test("what a resume repeats is dropped, as many of each type as had come", () => {
  const journal = heard(said("started", 0), said("segment", 0), said("words", 0), audio(0), said("words", 1), said("words", 1));
  assert.deepEqual(journal.received, { u: 1 });
  journal.ready(resumed(1));
  const again = [said("words", 1), said("words", 1), said("words", 1), said("segment", 1), audio(1), audio(1)];
  assert.deepEqual(again.map((message) => journal.take(message)), [false, false, true, true, true, false]);
});

test("one lost again while it is resumed drops what it had then, and no more", () => {
  const journal = heard(said("started", 0), said("segment", 0));
  journal.ready(resumed(1));
  assert.equal(journal.take(said("started", 0)), false);
  journal.ready(resumed(0));
  const again = [said("started", 0), said("segment", 0), said("words", 0), audio(0)];
  assert.deepEqual(again.map((message) => journal.take(message)), [false, false, true, true]);
});

test("a stopped utterance may end ahead of what was wanted, only after a resume", () => {
  const end = said("done", 7, { reason: "cancelled", samples: 70 });
  assert.throws(() => heard(said("started", 0), audio(0)).take(end), OrderFault);
  const journal = heard(said("started", 0), audio(0));
  journal.ready(resumed(1));
  assert.equal(journal.take(end), true);
  assert.deepEqual(journal.live, []);
});

test("a gap ends the utterance whatever its numbers", () => {
  const journal = heard(said("started", 0), audio(0));
  journal.ready(resumed(1));
  assert.equal(journal.take({ ...said("error", 9), code: "replay_gap" }), true);
  assert.equal(journal.take(said("done", 9, { reason: "error", samples: 90 })), true);
  assert.deepEqual(journal.live, []);
});

test("a broken order is told once, and then only the end is waited for", () => {
  for (const [wrong, sentence] of [
    [audio(2), /seq 1, got 2/],
    [audio(1, 11), /tick 10, got 11/],
    [said("done", 1, { reason: "end", samples: 11 }), /10 samples, got 11/],
  ]) {
    const journal = heard(said("started", 0), audio(0));
    assert.throws(() => journal.take(wrong), sentence);
    assert.equal(journal.take(audio(5)), false);
    assert.equal(journal.take(said("done", 6, { reason: "cancelled", samples: 60 })), true);
  }
});
