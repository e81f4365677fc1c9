import assert from "node:assert/strict";
import { test } from "node:test";

import { Recording } from "../../web_client/recording.js";
import { wavFile } from "../../web_client/wav.js";

test("a WAV file holds the samples given, after a header that tells their number", () => {
  const view = new DataView(wavFile([Int16Array.of(1, -2), Int16Array.of(32767)], 44100));
  const ascii = (at) => String.fromCharCode(...new Uint8Array(view.buffer, at, 4));
  assert.deepEqual([ascii(0), ascii(8), ascii(12), ascii(36)], ["RIFF", "WAVE", "fmt ", "data"]);
  assert.equal(view.byteLength, 50);
  assert.equal(view.getUint32(4, true), 42);
  assert.deepEqual([view.getUint16(20, true), view.getUint16(22, true)], [1, 1]);
  assert.deepEqual([view.getUint32(24, true), view.getUint32(28, true)], [44100, 88200]);
  assert.deepEqual([view.getUint16(32, true), view.getUint16(34, true)], [2, 16]);
  assert.equal(view.getUint32(40, true), 6);
  assert.deepEqual([44, 46, 48].map((at) => view.getInt16(at, true)), [1, -2, 32767]);
});

test("a recording keeps what it is given, though the buffer is sent away", () => {
  const recording = new Recording(1000);
  const samples = Int16Array.from({ length: 25 }, (_, index) => (index - 10) * 256);
  assert.deepEqual(recording.push(samples), Int8Array.of(-10, 0, 0, 9));
  structuredClone(samples, { transfer: [samples.buffer] });
  assert.deepEqual(recording.push(Float32Array.of(1, -1, 0.5, 0, 0)), Int8Array.of(-128, 127));
  assert.equal(recording.length, 30);
  assert.deepEqual(Array.from(recording.chunks[1]), [32767, -32768, 16384, 0, 0]);
  assert.equal(recording.chunks[0][24], 14 * 256);
});
