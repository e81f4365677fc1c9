import assert from "node:assert/strict";
import { test } from "node:test";

import { Captions } from "../../web_client/captions.js";
import { random } from "./arrivals.mjs";

function shown(captions, ticks) {
  const stretch = captions.at(ticks);
  return stretch && captions.text.slice(stretch.start, stretch.end);
}

test("the word shown is the one that sounds, or sounded last", () => {
  const captions = new Captions();
  captions.append("Hello ");
  captions.append("🙂 brave world");
  captions.addWords([[0, 5, 100, 500], [8, 13, 900, 1200]]);
  captions.addWords([[14, 19, 1200, 1500]]);
  assert.equal(shown(captions, 99), null);
  assert.equal(shown(captions, 100), "Hello");
  assert.equal(shown(captions, 899), "Hello");
  assert.equal(shown(captions, 900), "brave");
  assert.equal(shown(captions, 99999), "world");
});

test("of estimates for one word the last counts", () => {
  const captions = new Captions();
  captions.append("one two");
  captions.addWords([[0, 3, 0, 100], [4, 7, 100, 200]]);
  captions.addWords([[4, 7, 300, 400]]);
  assert.equal(shown(captions, 299), "one");
  assert.equal(shown(captions, 300), "two");
});

test("without words the segment is shown", () => {
  const captions = new Captions();
  captions.append("First. Second.");
  captions.addSegment({ text_start: 0, text_end: 6, pts: 0 });
  captions.addSegment({ text_start: 7, text_end: 14, pts: 500 });
  assert.equal(shown(captions, 499), "First.");
  assert.equal(shown(captions, 500), "Second.");
});

test("any order of arrival gives the same answer", () => {
  for (let seed = 0; seed < 200; seed++) {
    const next = random(seed);
    const words = Array.from({ length: 30 }, (_, index) => [index * 2, index * 2 + 1, index * 100, index * 100 + 90]);
    const captions = new Captions();
    captions.append("a ".repeat(30));
    for (const word of [...words].sort(() => next() - 0.5)) captions.addWords([word]);
    const ticks = Math.floor(next() * 3000);
    assert.deepEqual(captions.at(ticks), { start: 2 * Math.floor(ticks / 100), end: 2 * Math.floor(ticks / 100) + 1 });
  }
});

test("words that come before their text is known do not break the page", () => {
  const captions = new Captions();
  captions.addWords([[5, 9, 0, 100]]);
  assert.deepEqual(captions.at(50), { start: 0, end: 0 });
});

test("the text is spoken once its last word lies within what has come, whatever stands after it", () => {
  const captions = new Captions();
  captions.append("One two.\u201d \n");
  assert.equal(captions.spokenBy(1000), false);
  captions.addWords([[0, 3, 0, 90], [4, 7, 100, 200]]);
  assert.equal(captions.spokenBy(199), false);
  assert.equal(captions.spokenBy(200), true);
  captions.append("three");
  assert.equal(captions.spokenBy(200), false);
});
