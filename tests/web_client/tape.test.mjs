// What the tape keeps, for the tests in a browser that read it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Tape } from "../../web_client/tape.js";

const quantum = (value) => new Float32Array(4).fill(value);

test("quanta lie one behind the other, with the silence between them", () => {
  const tape = new Tape(100);
  tape.keep(quantum(1), 40, [{ frame: 40, track: 0, offset: 0, length: 4 }]);
  tape.keep(quantum(2), 48, [{ frame: 40, track: 0, offset: 0, length: 4 }, { frame: 48, track: 0, offset: 4, length: 4 }]);
  assert.deepEqual([...tape.samples], [1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 2, 2]);
  assert.deepEqual(tape.runs.map((run) => run.frame), [40, 48]);
});

test("a quantum under a number that was there already is written behind, not over", () => {
  const tape = new Tape(100);
  tape.keep(quantum(1), 40, [{ frame: 40, track: 0, offset: 0, length: 4 }]);
  const runs = [{ frame: 40, track: 0, offset: 0, length: 4 }, { frame: 40, track: 0, offset: 4, length: 4 }];
  tape.keep(quantum(2), 40, runs);
  runs[1].length = 8;
  tape.keep(quantum(3), 44, runs);
  assert.deepEqual([...tape.samples], [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
  assert.deepEqual(tape.runs.map(({ frame, offset, length }) => [frame, offset, length]), [[40, 0, 4], [44, 4, 8]]);
});
