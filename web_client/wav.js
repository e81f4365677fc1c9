// @ts-check
/** WAV files: 16-bit PCM, one channel. */

/**
 * @param {Int16Array[]} chunks in order
 * @param {number} sampleRate Hz
 * @returns {ArrayBuffer} the file
 */
export function wavFile(chunks, sampleRate) {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const file = new ArrayBuffer(44 + 2 * length);
  const view = new DataView(file);
  tag(view, 0, "RIFF");
  view.setUint32(4, 36 + 2 * length, true);
  tag(view, 8, "WAVE");
  tag(view, 12, "fmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true);
  view.setUint16(22, 1, true);
  view.setUint32(24, sampleRate, true);
  view.setUint32(28, 2 * sampleRate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  tag(view, 36, "data");
  view.setUint32(40, 2 * length, true);
  const samples = new Int16Array(file, 44);
  let at = 0;
  for (const chunk of chunks) {
    samples.set(chunk, at);
    at += chunk.length;
  }
  return file;
}

/**
 * @param {DataView} view
 * @param {number} at
 * @param {string} text four ASCII letters
 */
function tag(view, at, text) {
  for (let index = 0; index < text.length; index++) view.setUint8(at + index, text.charCodeAt(index));
}
