import assert from "node:assert/strict";
import { test } from "node:test";

import { Draft } from "../../web_client/draft.js";
import { random } from "./arrivals.mjs";

/** What utterances were told: their texts, and whether they ended. */
function tell(said, actions) {
  for (const action of actions) {
    if (action.type === "start") said.push({ text: "", ended: false });
    if (action.type === "text") said.at(-1).text += action.text;
    if (action.type === "end") said.at(-1).ended = true;
  }
  return actions;
}

function type(draft, said, text, how = {}) {
  return tell(said, draft.change(text, how));
}

test("words are sent as they are completed, the last one at the pause", () => {
  const draft = new Draft();
  assert.deepEqual(draft.change("H"), [{ type: "start" }]);
  assert.deepEqual(draft.change("Hello"), []);
  assert.deepEqual(draft.change("Hello "), [{ type: "text", text: "Hello " }]);
  assert.deepEqual(draft.change("Hello wor"), []);
  assert.deepEqual(draft.pause(), [{ type: "text", text: "wor" }]);
  assert.deepEqual(draft.change("Hello world."), [{ type: "text", text: "ld." }]);
  assert.deepEqual(draft.finish(), [{ type: "end" }]);
});

test("Chinese is sent character by character, but not the letters of its input method", () => {
  const draft = new Draft();
  assert.deepEqual(draft.change("ni", { composing: true }), [{ type: "start" }]);
  assert.deepEqual(draft.change("ni hao", { composing: true }), []);
  assert.deepEqual(draft.change("你好"), [{ type: "text", text: "你好" }]);
  assert.deepEqual(draft.change("你好，世"), [{ type: "text", text: "，世" }]);
});

test("a slip within the word under the cursor is mended unheard", () => {
  const draft = new Draft();
  const said = [];
  for (const text of ["I ", "I lik", "I lie", "I lik", "I like", "I like it."]) type(draft, said, text);
  tell(said, draft.finish());
  assert.deepEqual(said, [{ text: "I like it.", ended: true }]);
});

test("deltas joined are the box, however it is typed", () => {
  const source = "The quick brown fox, 你好世界 and 🙂 emoji; 3.14 is pi.\nNew line…  ";
  for (let seed = 0; seed < 300; seed++) {
    const next = random(seed);
    const points = [...source];
    const draft = new Draft();
    const said = [];
    for (let at = 0; at < points.length; ) {
      at = Math.min(points.length, at + 1 + Math.floor(next() * 4));
      type(draft, said, points.slice(0, at).join(""), { composing: next() < 0.1 });
      if (next() < 0.2) tell(said, draft.pause());
    }
    tell(said, draft.finish());
    assert.deepEqual(said, [{ text: source, ended: true }]);
  }
});

test("a change of what has been heard moves places and says nothing", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "The cat sat on the ");
  type(draft, said, "The dogs sat on the ", { heard: 8 });
  type(draft, said, "The dogs sat on the mat.", { heard: 8 });
  assert.deepEqual(said, [{ text: "The cat sat on the mat.", ended: false }]);
});

test("a change of what has not been heard restarts with the corrected rest", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "One two three four five ");
  type(draft, said, "One two three for five ", { heard: 3 });
  type(draft, said, "One two three six five ", { heard: 3 });
  assert.deepEqual(draft.pause(), [{ type: "restart" }]);
  assert.deepEqual(draft.pause(), []);
  type(draft, said, "One two three six five more ", { heard: 3 });
  tell(said, draft.resume(8));
  assert.deepEqual(said[1], { text: "three six five more ", ended: false });
  type(draft, said, "One two three six five more and ");
  assert.equal(said[1].text, "three six five more and ");
});

test("a listener who has passed the change hears it from its word's start", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "One two three four five ");
  type(draft, said, "One two tree four five ", { heard: 3 });
  draft.pause();
  tell(said, draft.resume(19));
  assert.equal(said[1].text, "tree four five ");
});

test("asking for the end during a correction ends the corrected rest", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "One two three ");
  type(draft, said, "One two four ", { heard: 0 });
  assert.deepEqual(draft.finish(), [{ type: "restart" }]);
  tell(said, draft.resume(4));
  assert.deepEqual(said[1], { text: "two four ", ended: true });
  assert.equal(draft.open, false);
});

test("deleting all that was not heard stops and says nothing more", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "One two three ");
  type(draft, said, "", { heard: 3 });
  assert.deepEqual(draft.pause(), [{ type: "restart" }]);
  assert.deepEqual(draft.resume(4), []);
  assert.equal(draft.open, false);
  type(draft, said, "Again ");
  assert.deepEqual(said[1], { text: "Again ", ended: false });
});

test("a pasted text waits for the button, which says all of it each time", () => {
  const draft = new Draft();
  const said = [];
  assert.deepEqual(draft.change("A long story.", { pasted: true }), []);
  assert.deepEqual(draft.change("A long story. Really."), []);
  tell(said, draft.finish());
  tell(said, draft.finish());
  const whole = { text: "A long story. Really.", ended: true };
  assert.deepEqual(said, [whole, whole]);
});

test("after the end, more at the back is a new utterance, a new text is one, a change is none", () => {
  const draft = new Draft();
  const said = [];
  type(draft, said, "One. ");
  tell(said, draft.finish());
  type(draft, said, "One. Two. ");
  assert.deepEqual(said[1], { text: "Two. ", ended: false });
  tell(said, draft.finish());
  assert.deepEqual(draft.change("Ones. Two. "), []);
  assert.equal(draft.loaded, true);
  type(draft, said, "O", { replaced: true });
  type(draft, said, "Other ");
  assert.deepEqual(said[2], { text: "Other ", ended: false });
});

test("an empty box says nothing", () => {
  const draft = new Draft();
  assert.deepEqual(draft.finish(), []);
  draft.change("  ", { pasted: true });
  assert.deepEqual(draft.finish(), []);
});

test("a word that is not whole yet is held, until a pause, the end or a restart", () => {
  const draft = new Draft();
  assert.equal(draft.holding, false);
  draft.change("One tw");
  assert.equal(draft.holding, true);
  draft.pause();
  assert.equal(draft.holding, false);
  draft.change("Ona tw");
  assert.equal(draft.holding, true);
  draft.pause();
  assert.equal(draft.holding, false);
  draft.change("Other", { pasted: true });
  draft.finish();
  draft.resume(0);
  assert.equal(draft.holding, false);
});
