import assert from "node:assert/strict";
import { test } from "node:test";

import { Outbox } from "../../web_client/outbox.js";
import { pieces } from "../../web_client/replay.js";

test("pieces joined are the text, and none is longer than a token", () => {
  const texts = ["The quick, brown fox — 1234567 jumps!", "你好，世界！今天天气很好。", "🙂🙃 emoji\n\n  and   spaces  ", "naïve café"];
  for (const text of texts) {
    assert.equal(pieces(text).join(""), text);
    for (const piece of pieces(text)) assert.ok([...piece.trim()].length <= 6, piece);
  }
  assert.deepEqual(pieces(""), []);
});

test("a short text leaves at once, whole", () => {
  const outbox = new Outbox();
  outbox.push("Hello 🙂");
  assert.deepEqual(outbox.take(0), { text: "Hello 🙂", waitMs: Infinity });
  assert.equal(outbox.sent, 7);
});

test("a long text leaves no faster than the server takes it", () => {
  const outbox = new Outbox({ chars_per_s: 1000, pending_chars: 100_000 });
  const text = "x".repeat(5000);
  outbox.push(text);
  let got = "";
  let now = 0;
  for (; got.length < text.length; now += 50) {
    got += outbox.take(now).text;
    assert.ok(got.length <= 800 + 0.8 * now, `${got.length} after ${now} ms`);
  }
  assert.equal(got, text);
  assert.ok(now < 5600);
});

test("no more waits at the server than it allows", () => {
  const outbox = new Outbox({ chars_per_s: 1_000_000, pending_chars: 1000 });
  outbox.push("x".repeat(2000));
  assert.deepEqual(outbox.take(0), { text: "x".repeat(800), waitMs: Infinity });
  outbox.spoken = 500;
  assert.equal(outbox.take(1).text.length, 500);
  outbox.spoken = 1300;
  assert.equal(outbox.take(2).text.length, 700);
  assert.equal(outbox.length, 0);
});
