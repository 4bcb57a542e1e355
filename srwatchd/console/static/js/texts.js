// The words of the page, in English and Chinese. texts/*.json have the same keys; a value with plural forms is an object.

export const LANGUAGES = { en: "English", zh: "中文" };
const LOCALES = { en: navigator.languages.find((tag) => /^en\b/i.test(tag)) ?? "en-GB", zh: "zh-CN" };
const STORE = "srwatchd.language";
const books = {};

export let language = "en";
export let locale = LOCALES.en;
let plural = new Intl.PluralRules("en");

function remembered() {
  try {
    return localStorage.getItem(STORE);
  } catch {
    return null;
  }
}

/** The language to begin with: the one chosen before, or what the browser asks for. */
export function preferred() {
  const chosen = remembered();
  if (chosen in LANGUAGES) return chosen;
  for (const tag of navigator.languages) {
    const start = tag.slice(0, 2).toLowerCase();
    if (start in LANGUAGES) return start;
  }
  return "en";
}

export async function speak(wanted, { remember = false } = {}) {
  for (const name of new Set(["en", wanted])) {
    books[name] ??= await (await fetch(new URL(`../texts/${name}.json`, import.meta.url))).json();
  }
  language = wanted;
  locale = LOCALES[wanted];
  plural = new Intl.PluralRules(locale);
  document.documentElement.lang = wanted === "zh" ? "zh-CN" : "en";
  if (!remember) return;
  try {
    localStorage.setItem(STORE, wanted);
  } catch {
    // A browser that keeps nothing: the language lasts as long as the page.
  }
}

export function has(key) {
  return key in books[language];
}

function form(key, values) {
  const entry = books[language][key] ?? books.en[key] ?? key;
  if (typeof entry === "string") return entry;
  return entry[plural.select(Number(values.n ?? 0))] ?? entry.other;
}

const number = (value) => new Intl.NumberFormat(locale).format(value);

/** The text of a key; `{name}` is filled from `values`, numbers as the language writes them. */
export function t(key, values = {}) {
  return form(key, values).replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return value === undefined ? whole : typeof value === "number" ? number(value) : value;
  });
}

/** Like t(), with elements among the values: a list of strings and nodes. */
export function pieces(key, values = {}) {
  return form(key, values)
    .split(/(\{\w+\})/)
    .map((part) => {
      const value = /^\{\w+\}$/.test(part) ? values[part.slice(1, -1)] : part;
      return typeof value === "number" ? number(value) : (value ?? part);
    });
}

/** What to do about an error: in the page's language, with what the daemon said beyond its standard words. */
export function advice(code, hint) {
  const standard = books.en[`hint.${code}`];
  const translated = books[language][`hint.${code}`];
  if (translated === undefined) return { text: hint ?? "", foreign: language !== "en" };
  const more = hint && hint !== standard && language !== "en" ? hint : null;
  return { text: language === "en" ? (hint ?? translated) : translated, more, foreign: false };
}

/** A short title of a code, such as "Not a picture". */
export function titleOf(code) {
  return has(`code.${code}`) ? t(`code.${code}`) : String(code).replaceAll("_", " ");
}

/** The name of a step that a picture goes through, such as "decode". */
export function stageName(stage) {
  return has(`stage.${stage}`) ? t(`stage.${stage}`) : String(stage);
}
