// What needs a person, on top of the home page: one line for each, with its remedy and a way there.

import { send, place } from "../api.js";
import { h, icon, renew } from "../dom.js";
import { ago } from "../figures.js";
import { soon } from "../live.js";
import { plain, shown } from "../names.js";
import { operator } from "../session.js";
import { language, t, titleOf } from "../texts.js";
import { reason, sentence } from "./failure.js";

// This many are shown at once, the rest on demand: on a phone the page below has to be found.
const first = () => (matchMedia("(max-width: 44rem)").matches ? 2 : 4);

export function attention() {
  const element = h("section", { class: "attention", "aria-labelledby": "title-attention" });
  let all = false;
  let last = null;
  const show = (live, reachable, refusal) => {
    last = [live, reachable, refusal];
    const things = reachable ? (live?.attention ?? []) : [lost(refusal)];
    renew(element, [things, all, language, operator(), live === null], () => {
      const title = h("h2", { id: "title-attention", class: "unseen-text" }, t("home.attention"));
      if (things.length === 0) return [title, live ? quiet() : ""];
      const listed = all ? things : things.slice(0, first());
      const list = h("ul", {}, listed.map(notice));
      const rest = things.length - listed.length;
      const press = () => {
        all = !all;
        show(...last);
      };
      const more = rest > 0 || all ? h("button", { type: "button", class: "plain", data: { key: "more" }, on: { click: press } }, all ? t("attention.fewer") : t("attention.more", { n: rest })) : null;
      return [title, list, things.length > first() && more];
    });
  };
  return { element, show };
}

function quiet() {
  return h("p", { class: "quiet" }, icon("check"), t("attention.none"));
}

function lost(refusal) {
  return { kind: "daemon", code: refusal?.code ?? "unreachable", message: "", hint: "", folder: null, name: null, job: null };
}

function notice(thing) {
  const standing = thing.kind === "hold" || thing.kind === "file" || thing.kind === "disk";
  const about = [];
  if (thing.folder) about.push(h("a", { href: `#/folders?id=${encodeURIComponent(thing.folder)}` }, shown(thing.folder)));
  if (thing.name) about.push(thing.job ? h("a", { href: `#/jobs/${encodeURIComponent(thing.job)}` }, shown(thing.name)) : shown(thing.name));
  const when = thing.since && h("span", { class: "faint small" }, about.length > 0 && " · ", ago(thing.since));
  return h(
    "li",
    { class: `need${standing ? " hold" : ""}`, data: { kind: thing.kind } },
    icon(standing ? "hold" : "alert"),
    h("div", {}, h("h3", {}, titleOf(thing.code), " ", h("code", { class: "faint small" }, thing.code)), h("p", { class: "about" }, about.flatMap((part, index) => (index ? [" / ", part] : [part])), when)),
    reason(thing, { title: false }),
    thing.job && operator() && retryButton(thing.job, thing.name ?? ""),
  );
}

/** A button that puts a picture back into its inbox, and says beside itself how it went. */
export function retryButton(job, name, done = () => {}) {
  const said = h("span", { class: "small", role: "status" });
  const button = h("button", { type: "button", data: { key: `retry-${job}` }, "aria-label": t("job.retry_name", { name: plain(name) }) }, icon("retry"), t("job.retry"));
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    said.className = "small";
    try {
      await send("POST", place("jobs", job, "retry"));
      said.textContent = t("job.retried");
      soon();
      done();
    } catch (refusal) {
      said.className = "small bad";
      said.textContent = sentence(refusal);
      button.removeAttribute("aria-disabled");
    }
  });
  return h("span", { class: "row" }, button, said);
}
