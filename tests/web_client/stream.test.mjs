import assert from "node:assert/strict";
import { setImmediate as settled } from "node:timers/promises";
import { test } from "node:test";

import { Stream } from "../../web_client/stream.js";

const PCM = { codec: "pcm_s16le", sample_rate: 44100, bitrate: 32000, frame_ms: 20, pre_skip: 0 };

/** A stream with its two listeners, and a server's voice. */
function listening({ sinkRate = 44100 } = {}) {
  const page = [];
  const sink = [];
  const failures = [];
  const stream = new Stream({
    utterance: "u", track: 7, tickRate: 44100, sinkRate,
    toPage: (message) => page.push(message),
    toSink: (message) => sink.push(message),
    fail: (code, message) => failures.push(`${code}: ${message}`),
  });
  const say = async (type, fields) => {
    stream.receive({ type, utterance: "u", ...fields });
    await settled();
  };
  return { stream, page, sink, failures, say };
}

/** @param {number[]} samples */
function audio(seq, pts, samples) {
  // An odd place in its buffer, as msgpack hands it out.
  const bytes = new Uint8Array(samples.length * 2 + 3);
  bytes.set(new Uint8Array(Int16Array.from(samples).buffer), 3);
  return { seq, pts, samples: samples.length, data: bytes.subarray(3) };
}

test("what arrives in sequence reaches the sink and the page", async () => {
  const { stream, page, sink, failures, say } = listening();
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  await say("segment", { seq: 0, text_start: 0, text_end: 5, pts: 0 });
  await say("words", { seq: 0, words: [[0, 5, 0, 3]] });
  await say("audio", audio(0, 0, [1, 2, 3]));
  await say("audio", audio(1, 3, [4]));
  await say("done", { seq: 2, reason: "end", samples: 4 });
  assert.deepEqual(failures, []);
  assert.deepEqual(sink.map(({ type }) => type), ["open", "run", "audio", "audio", "end"]);
  assert.deepEqual(sink.filter(({ samples }) => samples).flatMap(({ samples }) => [...samples]), [1, 2, 3, 4]);
  assert.deepEqual(page.map(({ type }) => type), ["started", "run", "segment", "words", "audio", "audio", "done"]);
  assert.deepEqual([page.at(-1).ticks, stream.received, stream.over], [4, 3, true]);
  assert.equal(stream.heard(2), 2);
  assert.equal(stream.heard(1), 2);
});

test("a hole in time or in the payload is a failure", async () => {
  const holes = [
    [audio(0, 5, [1]), "bad_message: expected audio from tick 0, got 5"],
    [{ seq: 0, pts: 0, samples: 1, packets: [] }, "bad_message: expected audio as pcm_s16le, got another kind of payload"],
    [{ seq: 0, pts: 0, samples: 1, data: new Uint8Array(3) }, "bad_message: expected audio as pcm_s16le, got another kind of payload"],
  ];
  for (const [message, sentence] of holes) {
    const { failures, say } = listening();
    await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
    await say("audio", message);
    assert.deepEqual(failures, [sentence]);
  }
});

test("speech at another rate than the device's is refused", async () => {
  const { failures, say, stream } = listening({ sinkRate: 48000 });
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  assert.deepEqual(failures, ["unsupported_format: this browser plays 48000 Hz, but speech comes at 44100 Hz"]);
  assert.equal(stream.started, null);
});

test("a cancelled utterance stops where the server says; a cut one drops what still comes", async () => {
  const { stream, page, sink, say } = listening();
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  await say("audio", audio(0, 0, [1, 2, 3]));
  stream.cut = true;
  await say("audio", audio(1, 3, [4]));
  await say("done", { seq: 2, reason: "cancelled", samples: 4, spoken: { text_end: 1, pts: 2 } });
  assert.deepEqual(sink.at(-1), { type: "truncate", track: 7, offset: 2 });
  assert.equal(sink.filter(({ type }) => type === "audio").length, 1);
  assert.deepEqual(page.at(-1).spoken, { text_end: 1, pts: 2 });
});

test("a lost connection ends the utterance with what has come", async () => {
  const { stream, page, sink, say } = listening();
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  await say("audio", audio(0, 0, [1, 2, 3]));
  stream.finish(null);
  await settled();
  assert.deepEqual(sink.at(-1), { type: "end", track: 7 });
  assert.deepEqual([page.at(-1).reason, page.at(-1).ticks], ["lost", 3]);
});

test("the rest of a text, spoken in another session, continues what has come up to the last whole word", async () => {
  const { stream, page, sink, failures, say } = listening();
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  await say("segment", { seq: 0, text_start: 0, text_end: 11, pts: 0 });
  await say("words", { seq: 0, words: [[0, 3, 0, 3], [4, 7, 4, 7], [8, 11, 8, 11]] });
  await say("audio", audio(0, 0, [1, 2, 3, 4, 5, 6]));
  const from = await stream.rewind([..."one two six"], async ({ offset }) => offset + 1); // one more had sounded
  assert.equal(from, 4);
  assert.deepEqual(page.at(-1), { type: "restarted", utterance: "u", text_start: 4, ticks: 5, length: 5, bins: 0 });
  await say("started", { seq: 0, voice: "v", language: "en", audio: PCM });
  await say("segment", { seq: 0, text_start: 0, text_end: 7, pts: 0 });
  await say("words", { seq: 0, words: [[0, 3, 0, 3], [4, 7, 4, 7]] });
  await say("audio", audio(0, 0, [7, 8]));
  assert.deepEqual(page.findLast(({ type }) => type === "words").words, [[4, 7, 5, 8], [8, 11, 9, 12]]);
  assert.deepEqual([stream.heard(6), stream.playedNow], [6, 1]);
  await say("done", { seq: 1, reason: "cancelled", samples: 2, spoken: { text_end: 3, pts: 1 } });
  assert.deepEqual(page.at(-1).spoken, { text_end: 7, pts: 6 });
  assert.deepEqual(sink.at(-1), { type: "truncate", track: 7, offset: 6 });
  assert.deepEqual([...stream.recording.chunks.flatMap((chunk) => [...chunk])], [1, 2, 3, 4, 5, 7, 8]);
  assert.deepEqual(failures, []);
});
