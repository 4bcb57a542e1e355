// All of the page is made here: elements with attributes and text, never markup from a string.

const SVG = "http://www.w3.org/2000/svg";
const SYMBOLS = new URL("../symbols.svg", import.meta.url).pathname;

/** An element. Attributes that are null, undefined or false are left out; `on` holds listeners, `data` data attributes. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (/^on|^style$|^srcdoc$/i.test(name)) throw new Error(`no ${name} attributes`);
    else element.setAttribute(name, written(name, value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A symbol of symbols.svg; decoration, unless a label is given. */
export function icon(name, label = null) {
  const hidden = label === null ? { "aria-hidden": "true" } : { role: "img", "aria-label": label };
  return s("svg", { class: "icon", focusable: "false", ...hidden }, s("use", { href: `${SYMBOLS}#${name}` }));
}

/** Sets an attribute or a text only where it differs, so that nothing is laid out or spoken again for nothing. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function attribute(element, name, value) {
  if (value === null || (value === false && !name.startsWith("aria-"))) element.removeAttribute(name);
  else if (element.getAttribute(name) !== written(name, value)) element.setAttribute(name, written(name, value));
}

// aria-* are words, "true" and "false"; others are there or not.
function written(name, value) {
  return value === true && !name.startsWith("aria-") ? "" : String(value);
}

/**
 * Replaces the children: what has the focus keeps it, and what a person has opened stays open, where it has a `data-key`
 * and there is one of that key among the new ones.
 */
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const opened = new Map([...element.querySelectorAll("details[data-key]")].map((one) => [one.dataset.key, one.open]));
  element.replaceChildren(...children.flat(3).filter(Boolean));
  for (const one of element.querySelectorAll("details[data-key]")) one.open = opened.get(one.dataset.key) ?? one.open;
  if (focused) element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

// What is under a pressed pointer stays until that is up again: an element that is replaced meanwhile gets no click.
const CLICKED = 50; // ms in which the click of a tap has come
const held = new Map();
let pressed = null;
addEventListener("pointerdown", ({ target }) => (pressed = target), true);
for (const event of ["pointerup", "pointercancel"]) addEventListener(event, () => setTimeout(released, CLICKED), true);

function released() {
  pressed = null;
  for (const [element, make] of held) refill(element, make());
  held.clear();
}

/** Refills only when `signature` is another than last time, so that scrolling and a selection survive a poll, too. */
export function renew(element, signature, make) {
  const mark = JSON.stringify(signature);
  if (element.signature === mark) return;
  element.signature = mark;
  held.delete(element);
  if (element.contains(pressed)) held.set(element, make);
  else refill(element, make());
}

/**
 * Keeps a list of elements in step with `items`: one element for each key, made by `make(item)` once, changed by
 * `change(element, item)` from then on, moved only when the order changes.
 */
export function keep(parent, items, key, make, change) {
  const known = (parent.known ??= new Map());
  const wanted = new Set();
  let after = null;
  for (const item of items) {
    const name = key(item);
    wanted.add(name);
    let element = known.get(name);
    if (element === undefined) {
      element = make(item);
      known.set(name, element);
    }
    change?.(element, item);
    const place = after === null ? parent.firstChild : after.nextSibling;
    if (place !== element) parent.insertBefore(element, place);
    after = element;
  }
  for (const [name, element] of known) {
    if (wanted.has(name)) continue;
    element.remove();
    known.delete(name);
  }
}
