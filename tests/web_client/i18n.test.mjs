import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { missing, preferred, words } from "../../web_client/i18n.js";

const page = (name) => readFileSync(new URL(`../../web_client/${name}`, import.meta.url), "utf8");

test("both languages have all words", () => {
  assert.deepEqual(missing(), []);
});

test("every word that the page names exists", () => {
  const named = [...page("index.html").matchAll(/data-(?:text|label|title|hint)="(\w+)"/g)].map(([, key]) => key);
  const scripts = readdirSync(new URL("../../web_client", import.meta.url)).filter((name) => name.endsWith(".js"));
  const keyed = scripts.flatMap((name) =>
    [...page(name).matchAll(/say\("(\w+)"|"((?:status|voice|record|mic)[A-Z]\w*)"/g)].map(([, said, status]) => said ?? status),
  );
  assert.ok(named.length > 20 && keyed.length > 15);
  for (const key of [...named, ...keyed]) for (const language of ["en", "zh"]) assert.ok(words(language, key), key);
  assert.throws(() => words("en", "nonsense"), /nonsense/);
});

test("values stand in their places", () => {
  assert.equal(words("en", "ms", { value: 12 }), "12 ms");
  assert.equal(words("zh", "ms", { value: 12 }), "12 毫秒");
});

test("the browser's languages decide, English if it has neither", () => {
  assert.equal(preferred(["fr-FR", "zh-TW", "en"]), "zh");
  assert.equal(preferred(["en-GB", "zh"]), "en");
  assert.equal(preferred(["", "fr"]), "en");
});
