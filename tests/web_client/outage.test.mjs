import assert from "node:assert/strict";
import { test } from "node:test";

import { lookAtDoor } from "../../web_client/door.js";
import { Outage, PATIENCE_MS } from "../../web_client/outage.js";

const IDLE = { due: false, sounds: false };
const SOUNDING = { due: true, sounds: true };
const DRY = { due: true, sounds: false };

/** A page whose connection was lost at 0 ms. */
function lost(report = {}) {
  const outage = new Outage();
  outage.learn({ type: "link", state: "ready" }, -1000);
  outage.learn({ type: "link", state: "lost", ...report }, 0);
  return outage;
}

test("a loss is told only when there is nothing to hear, and not at once", () => {
  const outage = lost({ reason: "gone" });
  assert.equal(outage.notice(DRY, PATIENCE_MS - 1), null);
  assert.equal(outage.notice(SOUNDING, 60_000), null);
  assert.deepEqual(outage.notice(DRY, PATIENCE_MS), { key: "linkDry", reason: "gone" });
  assert.deepEqual(outage.notice(IDLE, PATIENCE_MS), { key: "linkLost", reason: "gone" });
  outage.learn({ type: "link", state: "lost", reason: "" }, PATIENCE_MS + 100); // another attempt has failed
  assert.equal(outage.lasts(PATIENCE_MS + 100), true);
  outage.learn({ type: "link", state: "ready" }, 2000);
  assert.equal(outage.notice(DRY, 9000), null);
});

test("what the door says is told, until a connection opens", () => {
  for (const [door, key] of [["shut", "linkShut"], ["full", "linkFull"], ["draining", "linkDraining"], ["away", "linkDry"]]) {
    const outage = lost();
    outage.learn({ type: "link", state: "lost", door }, 10);
    outage.learn({ type: "link", state: "lost", reason: "" }, 500);
    assert.equal(outage.notice(DRY, 1000).key, key);
  }
});

test("a server that goes away says so when it leaves somebody waiting", () => {
  const outage = new Outage();
  outage.learn({ type: "link", state: "ready" }, 0);
  outage.drain();
  assert.equal(outage.notice(SOUNDING, 1000), null);
  assert.equal(outage.notice(IDLE, 1000), null);
  assert.equal(outage.notice(DRY, 1000).key, "linkDraining");
  outage.learn({ type: "link", state: "lost" }, 2000);
  assert.equal(outage.notice(DRY, 3000).key, "linkDraining");
});

test("of a connection that was closed because nothing was said nothing is said either", () => {
  const outage = new Outage();
  outage.learn({ type: "link", state: "ready" }, 0);
  outage.learn({ type: "link", state: "resting" }, 300_000);
  assert.equal(outage.lasts(400_000), false);
  assert.equal(outage.notice(IDLE, 400_000), null);
  outage.learn({ type: "link", state: "lost" }, 500_000); // it is needed, and there is no server
  assert.equal(outage.notice(DRY, 501_000).key, "linkDry");
});

test("a refusal is told at once", () => {
  const outage = lost();
  outage.learn({ type: "link", state: "refused", reason: "why" }, 10);
  assert.deepEqual(outage.notice(SOUNDING, 10), { key: "linkRefused", reason: "why" });
});

test("plain HTTP tells why no WebSocket opens", async () => {
  const answers = (ready, voices) => async (url, { method, headers }) => {
    if (String(url) === "https://a.b/sub/readyz") return ready;
    assert.deepEqual([String(url), method, headers], ["https://a.b/sub/v1/voices", "POST", { authorization: "Bearer key" }]);
    return voices;
  };
  const look = (...told) => lookAtDoor("wss://a.b/sub/v1/stream", "key", answers(...told));
  const unready = (text) => ({ ok: false, status: 503, text: async () => text });
  assert.equal(await look(unready("draining\n")), "draining");
  assert.equal(await look(unready("the engine is starting\n")), "starting");
  assert.equal(await look({ ok: true }, { status: 403 }), "shut");
  assert.equal(await look({ ok: true }, { status: 415 }), "full");
  assert.equal(await lookAtDoor("ws://a.b/v1/stream", undefined, () => Promise.reject(new Error("away"))), "away");
});
