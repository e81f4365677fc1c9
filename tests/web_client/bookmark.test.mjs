import assert from "node:assert/strict";
import { test } from "node:test";

import { Bookmark } from "../../web_client/bookmark.js";

const TEXT = [..."One two. “Three four,” five"];
const [TWO, THREE, FOUR] = [4, 10, 16];

/** Two segments: words of ten ticks each, a tick between them. */
function told({ words = true } = {}) {
  const bookmark = new Bookmark();
  bookmark.addSegment({ text_start: 0, text_end: 9, pts: 0 });
  if (words) bookmark.addWords([[0, 3, 0, 10], [TWO, 7, 11, 21]]);
  bookmark.addSegment({ text_start: 9, text_end: 27, pts: 30 });
  if (words) bookmark.addWords([[THREE, 15, 31, 41], [FOUR, 20, 42, 52]]);
  return bookmark;
}

test("it goes on at the first word that is not all there, and its beginning is dropped", () => {
  const bookmark = told();
  for (const [ticks, text, pts] of [
    [0, 0, 0], [9, 0, 0], [10, TWO, 10], [15, TWO, 11], [21, 9, 21], [30, THREE, 30], [40, THREE, 31], [42, FOUR, 42], [51, FOUR, 42],
  ]) {
    assert.deepEqual(bookmark.at(ticks, TEXT), { text, pts }, `after ${ticks} ticks`);
  }
});

test("after the last known word it goes on behind what closes that", () => {
  assert.deepEqual(told().at(60, TEXT), { text: 23, pts: 60 });
  assert.equal(TEXT.slice(23).join(""), "five");
});

test("where no words are known the segment is said again", () => {
  const bookmark = told({ words: false });
  assert.deepEqual(bookmark.at(29, TEXT), { text: 0, pts: 0 });
  assert.deepEqual(bookmark.at(60, TEXT), { text: 9, pts: 30 });
});

test("corrected estimates count", () => {
  const bookmark = told();
  bookmark.addWords([[TWO, 7, 15, 25]]);
  assert.deepEqual(bookmark.at(24, TEXT), { text: TWO, pts: 15 });
});

test("what was settled is not said again, even if nothing more has come since", () => {
  const bookmark = told({ words: false });
  bookmark.settle(THREE);
  assert.deepEqual(bookmark.at(45, TEXT), { text: THREE, pts: 45 });
  bookmark.addSegment({ text_start: THREE, text_end: 27, pts: 45 });
  bookmark.addWords([[THREE, 15, 46, 56]]);
  assert.deepEqual(bookmark.at(70, TEXT), { text: FOUR, pts: 70 });
});

test("a text that is all there leaves nothing to say", () => {
  const bookmark = new Bookmark();
  const text = [..."One. "];
  bookmark.addSegment({ text_start: 0, text_end: 5, pts: 0 });
  bookmark.addWords([[0, 3, 0, 10]]);
  assert.deepEqual(bookmark.at(12, text), { text: 5, pts: 12 });
});
