import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../web_client/backoff.js";
import { Vigil } from "../../web_client/vigil.js";

/** When the server is asked, and when the link is given up, in ms after the last sign of it. */
function silence(expecting, { doubt = false } = {}) {
  const vigil = new Vigil(0);
  if (doubt) vigil.doubt();
  const seen = {};
  for (let now = 0; now <= 60_000 && !("lost" in seen); now += 500) {
    const look = vigil.look(now, expecting);
    if (look !== "fine") seen[look] ??= now;
  }
  return seen;
}

test("a silent link is noticed in under five seconds while speech is under way", () => {
  assert.deepEqual(silence(true), { ask: 2000, lost: 4000 });
});

test("an idle link is asked rarely", () => {
  assert.deepEqual(silence(false), { ask: 20_000, lost: 22_000 });
});

test("a changed network is asked at once", () => {
  assert.deepEqual(silence(false, { doubt: true }), { ask: 0, lost: 2000 });
});

test("any sign of life ends the doubt", () => {
  const vigil = new Vigil(0);
  assert.equal(vigil.look(2000, true), "ask");
  vigil.heard(3900);
  assert.equal(vigil.look(4000, true), "fine");
  assert.equal(vigil.look(5899, true), "fine");
  assert.equal(vigil.look(5900, true), "ask");
});

test("a page that was asleep asks before it gives up", () => {
  const vigil = new Vigil(0);
  assert.equal(vigil.look(3_600_000, true), "ask");
});

test("the first attempt is made at once, the others after anything up to a doubling ceiling", () => {
  const most = new Backoff(() => 1);
  assert.deepEqual(Array.from({ length: 7 }, () => most.next()), [0, 500, 1000, 2000, 4000, 8000, 8000]);
  const least = new Backoff(() => 0);
  assert.deepEqual(Array.from({ length: 3 }, () => least.next()), [0, 0, 0]);
  most.reset();
  assert.equal(most.next(), 0);
});

test("a server that says when to come back is not tried sooner, nor by all at once", () => {
  assert.equal(new Backoff(() => 0).next(3000), 3000);
  assert.equal(new Backoff(() => 1).next(3000), 3500);
});
