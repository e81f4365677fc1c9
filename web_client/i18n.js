// @ts-check
/** The page's words, in English and Chinese. Elements name theirs: `data-text`, `data-label` (aria), `data-hint` (placeholder). */

/** @typedef {"en" | "zh"} Language */
/** @typedef {(key: string, values?: Record<string, string | number>) => string} Say */

/** @type {Record<Language, Record<string, string>>} */
const WORDS = {
  en: {
    title: "voxwire · text in, speech out",
    tagline: "Speech while the text is still being written",
    text: "Text",
    textHint: "Type here: speech begins before you finish. Enter ends the sentence, Shift+Enter makes a new line.",
    live: "Speak while I type",
    speak: "Speak",
    stop: "Stop",
    pause: "Pause",
    resume: "Resume",
    replay: "As an LLM would",
    replayRate: "tokens/s",
    replayRateLabel: "Replay rate in tokens per second",
    keys: "Enter or Ctrl+Enter: speak · Esc: stop · Space outside the text: pause",
    settings: "Voice and sound",
    voice: "Voice",
    language: "Language",
    auto: "Automatic",
    speed: "Speed",
    codec: "Audio",
    codecPcm: "PCM, exact ({rate} kHz)",
    codecOpus: "Opus, {rate} kbit/s",
    listening: "What you hear",
    transcript: "Text, with the word that sounds",
    transcriptEmpty: "What is spoken appears here, word by word.",
    firstAudio: "First audio",
    firstAudioTitle: "From the last text of the first clause to the first audio that arrives",
    firstSound: "Heard after",
    firstSoundTitle: "The same, to the moment the sound begins",
    buffered: "Buffer",
    bufferedTitle: "Speech that waits to be played",
    underruns: "Gaps",
    underrunsTitle: "Times that the buffer ran dry",
    download: "Download WAV",
    ms: "{value} ms",
    tapToHear: "Tap to hear",
    tapReason: "The browser holds the sound back until you touch the page.",
    insecure:
      "This address is not secure for the browser, so the page plays plain PCM on its own thread. For Opus and steadier sound, open it over https, or through a tunnel: {command} and then {url}",
    linkLost: "The connection is lost. A new one is tried by itself.",
    linkLostSpeech: "The connection was lost, and what was not yet spoken with it. Press Speak to hear it again.",
    linkRefused: "The server refused this page.",
    linkShut:
      "The server answers but refuses this page's WebSocket: it must be started with --allowed-origins {origin} (and a proxy in between, if any, must let WebSockets through).",
    retry: "Try now",
    tokenTitle: "This server asks for a key",
    tokenLabel: "API key",
    tokenReason: "It is kept until this tab is closed.",
    tokenSend: "Connect",
    tokenWrong: "The server does not know this key.",
    uiLanguage: "Language of this page",
    statusConnecting: "Connecting",
    statusReady: "Ready",
    statusWaiting: "Listening to what you write",
    statusStarting: "Speech is on its way",
    statusSpeaking: "Speaking",
    statusPaused: "Paused",
    statusStopped: "Stopped",
    statusFinished: "Finished",
    statusFailed: "Failed",
    statusLost: "Connection lost, reconnecting",
    statusRefused: "Not connected",
    statusUnauthorized: "Key needed",
    statusLocked: "Sound is held back: tap to hear",
    pasted: "Pasted. Press Speak, or have it written as an LLM would.",
    correction: "Corrected: speech goes on from here.",
    codecNext: "The new audio format is used as soon as this speech has ended.",
    failed: "{message}",
    noDownload: "This recording is no longer kept.",
    cannotPlay: "The sound device could not be opened: {message}",
  },
  zh: {
    title: "voxwire · 边写边说",
    tagline: "文字还在写，语音已经开始",
    text: "文本",
    textHint: "在此输入：还没写完就会开始朗读。回车结束本句，Shift+回车换行。",
    live: "边输入边朗读",
    speak: "朗读",
    stop: "停止",
    pause: "暂停",
    resume: "继续",
    replay: "模拟大模型输出",
    replayRate: "词元/秒",
    replayRateLabel: "模拟输出的速度，词元每秒",
    keys: "回车或 Ctrl+回车：朗读 · Esc：停止 · 文本框外按空格：暂停",
    settings: "声音设置",
    voice: "音色",
    language: "语言",
    auto: "自动",
    speed: "语速",
    codec: "音频格式",
    codecPcm: "PCM 无损（{rate} kHz）",
    codecOpus: "Opus，{rate} kbit/s",
    listening: "正在播放",
    transcript: "文本，正在朗读的词会高亮",
    transcriptEmpty: "朗读的内容会逐词显示在这里。",
    firstAudio: "首个音频",
    firstAudioTitle: "从第一个分句的最后一段文字，到收到第一段音频",
    firstSound: "开始发声",
    firstSoundTitle: "同上，到声音真正响起",
    buffered: "缓冲",
    bufferedTitle: "等待播放的语音",
    underruns: "断续",
    underrunsTitle: "缓冲耗尽的次数",
    download: "下载 WAV",
    ms: "{value} 毫秒",
    tapToHear: "点击播放声音",
    tapReason: "浏览器要求先触碰页面才能发声。",
    insecure:
      "浏览器认为此地址不安全，因此本页在自身线程上播放 PCM。要使用 Opus 并获得更稳定的声音，请改用 https，或建立隧道：{command}，然后打开 {url}",
    linkLost: "连接已断开，正在自动重连。",
    linkLostSpeech: "连接已断开，尚未朗读的内容也随之丢失。点“朗读”可重新播放。",
    linkRefused: "服务器拒绝了本页的连接。",
    linkShut:
      "服务器有响应，但拒绝了本页的 WebSocket：启动服务器时必须加上 --allowed-origins {origin}（如有中间代理，还须放行 WebSocket）。",
    retry: "立即重试",
    tokenTitle: "此服务器需要密钥",
    tokenLabel: "API 密钥",
    tokenReason: "密钥仅保存到关闭此标签页为止。",
    tokenSend: "连接",
    tokenWrong: "服务器不认识此密钥。",
    uiLanguage: "页面语言",
    statusConnecting: "正在连接",
    statusReady: "就绪",
    statusWaiting: "正在等待输入",
    statusStarting: "语音即将开始",
    statusSpeaking: "正在朗读",
    statusPaused: "已暂停",
    statusStopped: "已停止",
    statusFinished: "朗读完毕",
    statusFailed: "朗读失败",
    statusLost: "连接已断开，正在重连",
    statusRefused: "未连接",
    statusUnauthorized: "需要密钥",
    statusLocked: "声音被浏览器拦住：请点击播放",
    pasted: "已粘贴。点“朗读”，或模拟大模型逐步输出。",
    correction: "已更正：从这里继续朗读。",
    codecNext: "本次朗读结束后使用新的音频格式。",
    failed: "{message}",
    noDownload: "此录音已不再保留。",
    cannotPlay: "无法打开声音设备：{message}",
  },
};

/** @type {Record<Language, string>} BCP 47, for `lang` attributes and Intl */
export const TAGS = { en: "en", zh: "zh-Hans" };

/** @param {readonly string[]} wanted BCP 47 tags, best first @returns {Language} */
export function preferred(wanted) {
  const found = wanted.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag === "en" || tag === "zh");
  return found === "zh" ? "zh" : "en";
}

/**
 * @param {Language} language
 * @param {string} key
 * @param {Record<string, string | number>} [values] for the places in braces
 * @returns {string}
 */
export function words(language, key, values = {}) {
  const sentence = WORDS[language][key];
  if (sentence === undefined) throw new Error(`expected a known key of the page's words, got ${key}`);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** Keys that one language has and another lacks: for the tests. @returns {string[]} */
export function missing() {
  const [one, other] = Object.values(WORDS).map((table) => new Set(Object.keys(table)));
  return [...one].filter((key) => !other.has(key)).concat([...other].filter((key) => !one.has(key)));
}

/**
 * Writes the page's words into its elements.
 * @param {ParentNode} root
 * @param {Language} language
 */
export function apply(root, language) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-text]"))) {
    element.textContent = words(language, element.dataset.text ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-label]"))) {
    element.setAttribute("aria-label", words(language, element.dataset.label ?? ""));
  }
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-title]"))) {
    element.title = words(language, element.dataset.title ?? "");
  }
  for (const element of /** @type {NodeListOf<HTMLTextAreaElement>} */ (root.querySelectorAll("[data-hint]"))) {
    element.placeholder = words(language, element.dataset.hint ?? "");
  }
}
