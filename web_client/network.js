// @ts-check
/** Tells when the network may have changed under a connection that nobody has closed, or when there is one again. */

/** @param {() => void} act */
export function watchNetwork(act) {
  addEventListener("online", act);
  addEventListener("offline", act);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && act());
  const { connection } = /** @type {{connection?: EventTarget}} */ (navigator); // not in Firefox and Safari
  connection?.addEventListener("change", act);
}
