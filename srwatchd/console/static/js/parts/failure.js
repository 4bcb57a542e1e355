// Why something went wrong, and what to do: the same everywhere.

import { h } from "../dom.js";
import { shown } from "../names.js";
import { advice, has, t, titleOf } from "../texts.js";

/** Text with `commands` in backquotes as code. */
export function marked(text) {
  return String(text)
    .split(/(`[^`]+`)/)
    .map((part) => (/^`.*`$/.test(part) ? h("code", {}, part.slice(1, -1)) : part));
}

/** Title, code, message and hint of an error as a list of paragraphs. */
export function reason({ code, message, hint }, { title = true } = {}) {
  const { text, more, foreign } = advice(code, hint);
  const parts = [];
  if (title) parts.push(h("p", {}, h("strong", {}, titleOf(code)), " ", h("code", { class: "faint" }, code)));
  const told = message?.replace(/\.$/, "");
  if (told && !text.startsWith(told) && !hint?.startsWith(told)) parts.push(h("p", { class: "soft", lang: "en" }, shown(message)));
  if (text) parts.push(h("p", { lang: foreign ? "en" : null }, marked(text)));
  if (more) parts.push(h("p", { class: "soft", lang: "en" }, marked(more)));
  return h("div", { class: "reason" }, parts);
}

/** A short sentence for what cannot be shown in full: a refused press of a button. */
export function sentence(refusal) {
  const { text } = advice(refusal.code, refusal.hint);
  if (has(`code.${refusal.code}`)) return `${titleOf(refusal.code)}. ${refusal.message || text}`;
  return refusal.message || text || t("daemon.unreachable");
}
