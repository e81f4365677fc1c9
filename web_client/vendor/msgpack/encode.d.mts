export function encode(value: unknown, options?: { ignoreUndefined?: boolean }): Uint8Array<ArrayBuffer>;
