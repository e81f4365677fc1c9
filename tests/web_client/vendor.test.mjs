import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const VENDOR = new URL("../../web_client/vendor/", import.meta.url);

test("third-party files are the published ones, byte for byte", () => {
  const sums = readFileSync(new URL("SHA256SUMS", VENDOR), "utf8").trim().split("\n").map((line) => line.split("  "));
  for (const [sum, path] of sums) {
    assert.equal(createHash("sha256").update(readFileSync(new URL(path, VENDOR))).digest("hex"), sum, path);
  }
  const listed = new Set(sums.map(([, path]) => path));
  for (const path of readdirSync(VENDOR, { recursive: true })) {
    if (path.endsWith(".mjs")) assert.ok(listed.has(path), `${path} is listed`);
  }
});
