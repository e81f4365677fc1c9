// @ts-check
/** Languages by their tags: what they are called, and which are the same one. */

/** @param {Intl.DisplayNames} names @param {string} code BCP 47, or whatever the server calls it */
export function nameOf(names, code) {
  try {
    return names.of(code) ?? code;
  } catch {
    return code;
  }
}

/** What two tags of one language share: `zh` for `zh-Hans`, `cmn` and `yue`. @param {string} tag */
export function primary(tag) {
  const head = tag.toLowerCase().split(/[-_]/)[0];
  return ["cmn", "yue", "zho", "chi"].includes(head) ? "zh" : head;
}
