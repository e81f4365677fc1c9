// @ts-check
/** Hands a WAV file to the browser's downloads, named by the time. */

/** @param {ArrayBuffer} file */
export function saveWav(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([file], { type: "audio/wav" }));
  link.download = `voxwire-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.wav`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
