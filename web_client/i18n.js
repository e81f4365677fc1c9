// @ts-check
/** The page's words, in English and Chinese. Elements name theirs: `data-text`, `data-label` (aria), `data-hint` (placeholder). */

import { CHINESE } from "./chinese.js";
import { ENGLISH } from "./english.js";

/** @typedef {"en" | "zh"} Language */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

/** @type {Record<Language, Record<string, string>>} */
const WORDS = { en: ENGLISH, zh: CHINESE };

/** @type {Record<Language, string>} BCP 47, for `lang` attributes and Intl */
export const TAGS = { en: "en", zh: "zh-Hans" };

/** @param {readonly string[]} wanted BCP 47 tags, best first @returns {Language} */
export function preferred(wanted) {
  const found = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === "en" || tag === "zh");
  return found === "zh" ? "zh" : "en";
}

/**
 * @param {Language} language
 * @param {string} key
 * @param {Record<string, string | number>} [values] for the places in braces
 * @returns {string}
 */
export function words(language, key, values = {}) {
  const sentence = WORDS[language][key];
  if (sentence === undefined) throw new Error(`expected a known key of the page's words, got ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Keys that one language has and another lacks: for the tests. @returns {string[]} */
export function missing() {
  const [one, other] = Object.values(WORDS).map((table) => new Set(Object.keys(table)));
  return [...one].filter((key) => !other.has(key)).concat([...other].filter((key) => !one.has(key)));
}

/**
 * Writes the page's words into its elements.
 * @param {ParentNode} root
 * @param {Language} language
 */
export function apply(root, language) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-text]"))) {
    element.textContent = words(language, element.dataset.text ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-label]"))) {
    element.setAttribute("aria-label", words(language, element.dataset.label ?? ""));
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-title]"))) {
    element.title = words(language, element.dataset.title ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLTextAreaElement>} */ (root.querySelectorAll("[data-hint]"))) {
    element.placeholder = words(language, element.dataset.hint ?? "");
  }
}
