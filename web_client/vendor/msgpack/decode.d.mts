/** Throws RangeError when the bytes end early, DecodeError when they are not msgpack. */
export function decode(bytes: Uint8Array | ArrayBuffer): unknown;
