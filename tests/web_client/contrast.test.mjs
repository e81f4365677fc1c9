import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../../web_client/style.css", import.meta.url), "utf8");
const [light, dark] = css.split("prefers-color-scheme: dark");

/** @param {string} sheet */
function colours(sheet) {
  const block = sheet.slice(sheet.indexOf(":root"), sheet.indexOf("}", sheet.indexOf(":root")));
  return Object.fromEntries([...block.matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map(([, name, hex]) => [name, hex]));
}

/** WCAG 2.2, relative luminance. @param {string} hex */
function luminance(hex) {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** @param {string} one @param {string} other */
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((left, right) => left - right);
  return (high + 0.05) / (low + 0.05);
}

const pairs = [
  ["ink", "card"], ["ink", "ground"], ["ink", "field"], ["ink", "warn"], ["ink", "bad"], ["ink", "glow"],
  ["soft", "card"], ["soft", "ground"], ["soft", "field"], ["soft", "warn"], ["on-accent", "accent"], ["on-accent", "accent-strong"],
];

for (const [name, palette] of [["light", colours(light)], ["dark", { ...colours(light), ...colours(dark) }]]) {
  test(`text can be read on its ground, ${name}`, () => {
    for (const [text, ground] of pairs) {
      const ratio = contrast(palette[text], palette[ground]);
      assert.ok(ratio >= 4.5, `${text} on ${ground}: ${ratio.toFixed(2)}`);
    }
  });
  test(`the waveform and the focus ring can be seen, ${name}`, () => {
    for (const mark of ["wave-played", "wave-gap", "wave-head", "accent", "edge"]) {
      assert.ok(contrast(palette[mark], palette.card) >= 3, mark);
    }
  });
}
