import assert from "node:assert/strict";
import { test } from "node:test";

import { toGreet, toRead } from "../../web_client/sentences.js";
import { lacking } from "../../web_client/submission.js";
import { Take } from "../../web_client/take.js";
import { Refusal, Voices } from "../../web_client/voices.js";

const limits = { bytes: 1000, seconds: 30 };
const complete = {
  name: "Anna", language: "en", transcript: "Hello there.", licence: "CC0-1.0", consent: true,
  sample: { file: new Blob([new Uint8Array(500)]), name: "anna.wav", seconds: 6 },
};

/** A server that answers once, and tells what it was asked. @param {Response} answer */
function server(answer, key = null) {
  const asked = [];
  const voices = new Voices(() => key, async (path, init) => {
    asked.push({ path, ...init });
    return answer;
  });
  return { voices, asked };
}

test("what a voice still lacks is said, one thing at a time, the sample first", () => {
  const sized = (bytes) => ({ sample: { ...complete.sample, file: new Blob([new Uint8Array(bytes)]) } });
  const cases = [
    [{ sample: null, name: "" }, "sample", "voiceNeedsSample"],
    [sized(0), "sample", "voiceEmpty"],
    [sized(1001), "sample", "voiceTooBig"],
    [{ sample: { ...complete.sample, seconds: 30.6 } }, "sample", "voiceTooLong"],
    [{ name: "  ", transcript: "" }, "name", "voiceNeedsName"],
    [{ transcript: "\n" }, "transcript", "voiceNeedsTranscript"],
    [{ licence: "", consent: false }, "licence", "voiceNeedsLicence"],
    [{ consent: false }, "consent", "voiceNeedsConsent"],
  ];
  for (const [change, field, key] of cases) {
    const lack = lacking({ ...complete, ...change }, limits);
    assert.deepEqual([lack.field, lack.key], [field, key]);
  }
  assert.equal(lacking(complete, limits), null);
  for (const seconds of [undefined, 30.4]) {
    assert.equal(lacking({ ...complete, sample: { ...complete.sample, seconds } }, limits), null, `${seconds} s: the server knows better`);
  }
});

test("a voice is sent as the form that the server reads", async () => {
  const { voices, asked } = server(Response.json({ name: "Anna", language: "en" }, { status: 201 }), "sesame");
  const added = await voices.add({ ...complete, name: " Anna ", transcript: "Hello there.\n" });
  assert.deepEqual(added, { voice: { name: "Anna", language: "en" }, speaks: true });
  const [{ path, method, headers, body }] = asked;
  assert.deepEqual([path, method, headers], ["v1/voices", "POST", { authorization: "Bearer sesame" }]);
  const { audio, ...fields } = Object.fromEntries(body);
  assert.deepEqual(fields, { name: "Anna", language: "en", transcript: "Hello there.", licence: "CC0-1.0", consent: "true" });
  assert.deepEqual([audio.name, audio.size], ["anna.wav", 500]);
});

test("a voice that comes with the engine's restart is told from one that speaks", async () => {
  const { voices } = server(Response.json({ name: "Anna", language: "en" }, { status: 202 }));
  assert.deepEqual(await voices.add(complete), { voice: { name: "Anna", language: "en" }, speaks: false });
});

test("a voice that is being sent can be called off, before the answer and in it", async () => {
  const calling = new AbortController();
  const { voices, asked } = server(new Response("{"));
  await assert.rejects(voices.add(complete, calling.signal), { code: "unreachable", message: "" });
  assert.equal(asked[0].signal, calling.signal);
  const waiting = new Voices(() => null, (_, { signal }) => new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  }));
  const sent = waiting.add(complete, calling.signal);
  calling.abort();
  await assert.rejects(sent, { code: "unreachable" });
});

test("a voice is deleted by its name, whatever letters that has", async () => {
  const { voices, asked } = server(new Response(null, { status: 204 }));
  await voices.remove("奶奶 1/2");
  assert.deepEqual(asked, [{ path: "v1/voices/%E5%A5%B6%E5%A5%B6%201%2F2", method: "DELETE", headers: undefined }]);
});

test("what the server says against it comes as it said it", async () => {
  const said = { error: { code: "bad_audio", message: "expected speech, got silence" } };
  const rejects = (answer, code, message) =>
    assert.rejects(server(answer).voices.add(complete), (error) => error instanceof Refusal && error.code === code && error.message === message);
  await rejects(Response.json(said, { status: 422 }), "bad_audio", "expected speech, got silence");
  await rejects(new Response("<h1>413</h1>", { status: 413, statusText: "Payload Too Large" }), "refused", "413 Payload Too Large");
  const cutOff = new Voices(() => null, () => Promise.reject(new TypeError("Failed to fetch")));
  await assert.rejects(cutOff.list(), { code: "unreachable", message: "" });
});

test("a take stops at its limit, and its file holds what was said", () => {
  const take = new Take(8000, 0.5);
  for (let round = 0; round < 20; round++) take.push(new Float32Array(300).fill(round % 2 ? 0.5 : -0.5));
  assert.equal(take.length, 4000);
  assert.equal(take.seconds, 0.5);
  assert.ok(take.full);
  assert.equal(take.fault, null);
  const samples = new Int16Array(take.file(), 44);
  assert.deepEqual([samples.length, samples[0], samples[300]], [4000, -16384, 16384]);
});

test("a take knows silence and distortion, and how loud it is just now", () => {
  const quiet = new Take(8000, 1);
  quiet.push(new Float32Array(800).fill(0.004));
  assert.equal(quiet.fault, "voiceSilent");
  const loud = new Take(8000, 1);
  loud.push(new Float32Array(800).fill(1.5));
  assert.equal(loud.fault, "voiceClipped");
  assert.equal(new Int16Array(loud.file(), 44)[0], 32767);
  loud.push(new Float32Array(800).fill(-0.25));
  assert.equal(loud.level, 0.25);
});

test("there is a sentence to read and one to try in the page's languages, whichever tag names them", () => {
  for (const tag of ["zh", "cmn", "zh-Hans-CN"]) assert.match(toRead(tag) + toGreet(tag), /^[\p{Script=Han}，。！？]+$/u);
  assert.match(toRead("en-GB"), /^[\w ,]+\.$/);
  assert.equal(toRead("fr"), "");
  assert.equal(toGreet("fr"), toGreet("en"));
});
