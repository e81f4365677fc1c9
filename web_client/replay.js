// @ts-check
/** A text as a language model would write it: small pieces at a steady rate. */

const PIECES =
  /\s*(?:[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]{1,2}|[\p{L}\p{M}]{1,6}|\p{N}{1,3}|\S)|\s+/gu;

/**
 * @param {string} text
 * @returns {string[]} token-sized pieces; joined they are the text
 */
export function pieces(text) {
  return text.match(PIECES) ?? [];
}

/**
 * Hands out the pieces in time.
 * @param {object} options
 * @param {string} options.text
 * @param {number} options.perSecond pieces a second
 * @param {(text: string) => void} options.write
 * @param {() => void} options.end after the last piece
 * @returns {() => void} stops it; `end` is then not called
 */
export function replay({ text, perSecond, write, end }) {
  const waiting = pieces(text);
  const started = performance.now();
  let written = 0;
  const timer = setInterval(() => {
    const due = Math.min(waiting.length, 1 + Math.floor(((performance.now() - started) * perSecond) / 1000));
    if (due > written) write(waiting.slice(written, due).join(""));
    written = due;
    if (written < waiting.length) return;
    clearInterval(timer);
    end();
  }, Math.max(10, 1000 / perSecond));
  return () => clearInterval(timer);
}
