// @ts-check
/** What the browser remembers for the page, where it remembers anything: some refuse, and then nothing is kept. */

/** @typedef {"local" | "session"} Kind for good, or until the tab is closed */

const PREFIX = "voxwire.";

/**
 * @param {Kind} kind
 * @param {string} name
 * @returns {string | null}
 */
export function load(kind, name) {
  try {
    return storage(kind).getItem(PREFIX + name);
  } catch {
    return null;
  }
}

/**
 * @param {Kind} kind
 * @param {string} name
 * @param {string | null} value null forgets
 */
export function keep(kind, name, value) {
  try {
    if (value === null) storage(kind).removeItem(PREFIX + name);
    else storage(kind).setItem(PREFIX + name, value);
  } catch {
    // It is asked for, or chosen, again at the next visit.
  }
}

/** @param {Kind} kind @returns {Storage} */
function storage(kind) {
  return kind === "local" ? localStorage : sessionStorage;
}
