// What stands around every view: the bar with the ways, the daemon's state, language and theme; the live region; the drop.

import { attribute, h, icon, put, renew } from "./dom.js";
import { follow } from "./live.js";
import { DropLayer } from "./parts/droplayer.js";
import { uploadsBadge } from "./parts/uploadlist.js";
import { leave, loggedIn } from "./session.js";
import { LANGUAGES, language, t } from "./texts.js";

const WAYS = [
  ["", "home"],
  ["history", "history"],
  ["folders", "folders"],
  ["models", "models"],
  ["ledger", "ledger"],
];
const THEMES = { auto: "halves", light: "sun", dark: "moon" };

export class Frame {
  #links = new Map();
  #main = h("main", { id: "main", tabindex: "-1" });
  #spoken = h("div", { class: "unseen-text", role: "status", "aria-live": "polite" });
  #state = h("a", { class: "state", href: "#/" });
  #ends = [];
  #attention = null;

  constructor({ session, onLanguage }) {
    const inside = !session.loginNeeded || session.user !== null;
    const skip = h("a", { class: "skip", href: "#main", on: { click: (event) => this.#skip(event) } }, t("frame.skip"));
    const mark = h("a", { class: "mark", href: "#/" }, icon("mark"), h("span", {}, "srwatchd"));
    const bar = h("header", { class: "bar-top" }, mark, inside && this.#nav(), h("div", { class: "tools" }, inside && this.#state));
    bar.lastChild.append(this.#languages(onLanguage), this.#theme(), ...(loggedIn() ? [this.#user(session)] : []));
    this.element = h("div", { class: "frame" }, skip, bar, this.#main, this.#spoken);
    if (!inside) return;
    const layer = new DropLayer(session, (text) => this.say(text));
    const badge = uploadsBadge((text) => this.say(text));
    this.element.append(layer.element, badge.element);
    this.#ends.push(() => layer.leave(), () => badge.leave(), follow((live) => this.#show(live)));
  }

  leave() {
    for (const end of this.#ends) end();
  }

  place(element, way) {
    this.#main.replaceChildren(element);
    for (const [name, link] of this.#links) attribute(link, "aria-current", name === (way === "jobs" ? "history" : way) ? "page" : null);
  }

  focusHeading() {
    this.#main.querySelector("h1")?.focus({ preventScroll: true });
  }

  /** Says it to somebody who listens instead of looking; for few things only. */
  say(text) {
    this.#spoken.textContent = "";
    setTimeout(() => put(this.#spoken, text), 60);
  }

  #skip(event) {
    event.preventDefault();
    this.#main.focus();
  }

  #nav() {
    const list = h("ul", {});
    for (const [way, symbol] of WAYS) {
      const link = h("a", { href: `#/${way}` }, icon(symbol), h("span", {}, t(`nav.${symbol}`)));
      this.#links.set(way, link);
      list.append(h("li", {}, link));
    }
    return h("nav", { "aria-label": t("frame.ways") }, list);
  }

  #languages(onLanguage) {
    const select = h("select", { id: "language", "aria-label": t("frame.language"), on: { change: () => onLanguage(select.value) } });
    for (const [tag, name] of Object.entries(LANGUAGES)) {
      select.append(h("option", { value: tag, lang: tag, selected: tag === language }, name));
    }
    return select;
  }

  #theme() {
    const button = h("button", { type: "button", class: "plain square" });
    const show = () => {
      const wanted = document.documentElement.dataset.themeWanted;
      const label = t(`theme.${wanted}`);
      button.replaceChildren(icon(THEMES[wanted] ?? "halves"));
      attribute(button, "aria-label", label);
      attribute(button, "title", label);
    };
    button.addEventListener("click", () => {
      const order = Object.keys(THEMES);
      const next = order[(order.indexOf(document.documentElement.dataset.themeWanted) + 1) % order.length];
      try {
        localStorage.setItem("srwatchd.theme", next);
      } catch {
        // Nothing is kept here; the system's theme stays.
      }
      dispatchEvent(new Event("srwatchd:theme"));
      show();
    });
    show();
    return button;
  }

  #user(session) {
    const label = t("frame.leave", { name: session.user });
    const title = `${session.user} · ${t(`role.${session.role}`)}`;
    const out = h("button", { type: "button", class: "plain square", "aria-label": label, title: label, on: { click: () => leave() } }, icon("leave"));
    return h("span", { class: "user" }, h("span", { class: "small soft clip", title }, session.user), out);
  }

  #show({ now, reachable }) {
    const state = !reachable ? "unreachable" : !now?.daemon.running ? "down" : now.attention.length ? "attention" : now.running.length ? "working" : "idle";
    const n = now?.attention.length ?? 0;
    renew(this.#state, [state, n, language], () => {
      attribute(this.#state, "data-state", state);
      return [h("span", { class: "dot", "aria-hidden": "true" }), h("span", {}, t(`state.${state}`, { n }))];
    });
    if (this.#attention !== null && n > this.#attention) this.say(t("state.attention", { n }));
    this.#attention = n;
  }
}
