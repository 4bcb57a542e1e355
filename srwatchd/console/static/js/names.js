// File names are foreign text: they are shown whole and harmless, whatever is in them.

import { h } from "./dom.js";

// Controls, line and paragraph separators, direction marks, joiners and fillers, tags, lone surrogates.
const UNSEEN =
  /[\u0000-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e0fff}\ud800-\udfff]/u;

/** What stands for a character that would be unseen: `U+202E`, or `\x9f` for a byte that was no UTF-8. */
export function sign(character) {
  const point = character.codePointAt(0);
  if (point >= 0xdc80 && point <= 0xdcff) return `\\x${(point - 0xdc00).toString(16)}`;
  return { 9: "\\t", 10: "\\n", 13: "\\r", 27: "\\e" }[point] ?? `U+${point.toString(16).toUpperCase().padStart(4, "0")}`;
}

/** The name as one plain string without anything unseen in it, for titles and labels. */
export function plain(name) {
  let text = "";
  for (const character of String(name)) text += UNSEEN.test(character) ? `⟨${sign(character)}⟩` : character;
  return text;
}

/**
 * The name as an element, with a sign for every unseen character. It is isolated from the direction of what stands around
 * it, and runs from left to right itself, so that an ending is always at the end.
 */
export function shown(name, attributes = {}) {
  const element = h("bdi", { dir: "ltr", ...attributes });
  let text = "";
  for (const character of String(name)) {
    if (!UNSEEN.test(character)) {
      text += character;
      continue;
    }
    element.append(text, h("span", { class: "unseen" }, sign(character)));
    text = "";
  }
  element.append(text);
  return element;
}

/** The last part of a path, which is what people call a file. */
export function base(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** The folders of a path, or an empty string. */
export function parents(path) {
  return path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";
}
