// @ts-check
/** Finds the page's elements by id, and says so when one is not what it should be. */

/**
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function element(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`expected #${id} to be a ${type.name}`);
  return found;
}

/**
 * Writes only what differs, so that a screen reader hears a status once.
 * @param {string} id
 * @param {string} text
 */
export function setText(id, text) {
  const target = element(id, HTMLElement);
  if (target.textContent !== text) target.textContent = text;
}
