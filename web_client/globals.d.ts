/** What an AudioWorkletGlobalScope has, which the type checker's DOM library lacks. */

interface AudioWorkletProcessor {
  readonly port: MessagePort;
}
declare var AudioWorkletProcessor: { prototype: AudioWorkletProcessor; new (): AudioWorkletProcessor };
declare function registerProcessor(name: string, processor: new (options: AudioWorkletNodeOptions) => AudioWorkletProcessor): void;
declare var sampleRate: number;
declare var currentFrame: number;
