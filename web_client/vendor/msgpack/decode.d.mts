/** What is done with values of an extension type. */
export interface ExtensionCodec {
  tryToEncode(value: unknown, context: unknown): null;
  decode(data: Uint8Array, type: number, context: unknown): unknown;
}

/** Throws RangeError when the bytes end early, DecodeError when they are not msgpack. */
export function decode(bytes: Uint8Array | ArrayBuffer, options?: { extensionCodec?: ExtensionCodec }): unknown;
