// @ts-check
/** What a voice is given to say: a sentence to be recorded with, and one to be tried with. */

import { primary } from "./languages.js";

/** @type {Record<string, {read: string, greet: string}>} by the tag's first part */
const SENTENCES = {
  en: {
    read: "The kettle had just begun to sing when my neighbour knocked, with a basket of plums and a question about the garden.",
    greet: "Hello! This is how I sound when I read to you. What shall I say next?",
  },
  zh: {
    read: "清晨的阳光照进院子，邻居提着一篮李子来敲门，笑着问我，今年的花怎么开得这么早。",
    greet: "你好！我给你朗读的时候，听起来就是这样。接下来想让我说什么？",
  },
};

/** @param {string} language BCP 47 @returns {string} of about eight seconds; empty where there is none in that language */
export function toRead(language) {
  return SENTENCES[primary(language)]?.read ?? "";
}

/** @param {string} language BCP 47 @returns {string} in English where there is none in that language */
export function toGreet(language) {
  return (SENTENCES[primary(language)] ?? SENTENCES.en).greet;
}
