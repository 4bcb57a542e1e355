// The hot folders: what they do, why one stands still, how much room is left.

import { place, send } from "../api.js";
import { attribute, h, icon, renew } from "../dom.js";
import { ago, count, size, span } from "../figures.js";
import { follow, soon } from "../live.js";
import { shown } from "../names.js";
import { operator } from "../session.js";
import { language, t } from "../texts.js";
import { marked, reason, sentence } from "../parts/failure.js";

export function folders({ query, frame }) {
  const list = h("ul", { class: "folders" });
  const element = h("div", { class: "page" }, h("h1", { tabindex: "-1" }, t("nav.folders")), list);
  let wanted = query.get("id");
  const stop = follow(({ now }) => {
    if (!now) return;
    renew(list, [now.folders, language, operator()], () => (now.folders.length ? now.folders.map((one) => folder(one, frame)) : h("li", { class: "empty" }, t("drop.no_folder"))));
    if (wanted === null) return;
    const asked = list.querySelector(`[data-id="${CSS.escape(wanted)}"]`);
    asked?.scrollIntoView({ block: "start" });
    asked?.querySelector("h2")?.focus({ preventScroll: true });
    wanted = null;
  });
  return { element, title: t("nav.folders"), leave: stop };
}

function stateOf(one) {
  if (one.hold) return ["held", t("folder.state.held")];
  if (one.paused) return ["held", t("folder.paused")];
  const key = { active: "active", held: "held", "not answering": "stuck", "outside active hours": "asleep" }[one.state] ?? "unknown";
  return [key === "active" ? "soft" : key === "stuck" ? "bad" : "held", t(`folder.state.${key}`)];
}

function folder(one, frame) {
  const [kind, state] = stateOf(one);
  const figures = ["waiting", "in_work", "retrying", "delivered", "quarantined"].map((name) =>
    h("div", {}, h("dt", {}, t(`folder.${name}`)), h("dd", { class: name === "quarantined" && one[name] > 0 ? "bad" : null }, count(one[name]))),
  );
  const facts = [
    ["folder.engine", one.engine],
    ["folder.inbox", one.inbox],
    ["folder.done", one.done],
  ].filter(([, value]) => value);
  return h(
    "li",
    { class: "folder", data: { id: one.id } },
    h(
      "header",
      {},
      h("div", {}, h("h2", { tabindex: "-1" }, shown(one.id)), h("p", { class: "soft small" }, t("folder.model", { model: one.model, scale: one.scale ?? "?" }), one.upscale && ` · ${t("folder.upscale")}`)),
      h("span", { class: `state-word ${kind}` }, kind !== "soft" && icon(kind === "bad" ? "alert" : "hold"), state),
      operator() && one.waiting !== null && pauseButton(one, frame),
    ),
    one.hold && h("div", { class: "notice hold" }, icon("hold"), reason(one.hold), h("p", { class: "small faint" }, t("folder.held_since", { ago: ago(one.hold.since) }))),
    one.warnings.map((warning) => h("p", { class: "small held", lang: "en" }, marked(warning))),
    h("dl", { class: "folder-figures" }, figures),
    one.files.length > 0 && waitingFiles(one),
    one.space && space(one.space),
    h("dl", { class: "facts small" }, facts.map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, shown(value, { class: key === "folder.engine" ? null : "mono" }))))),
  );
}

function waitingFiles({ id, files }) {
  const rows = files.slice(0, 20).map((file) =>
    h("li", {}, shown(file.name, { class: "clip" }), h("span", { class: "soft small", lang: "en" }, [file.reason, file.detail].filter(Boolean).join(": ")), h("span", { class: "soft small number" }, span(file.seconds))),
  );
  return h("details", { class: "waiting", open: files.length <= 3, data: { key: `files-${id}` } }, h("summary", {}, t("folder.files", { n: files.length })), h("ul", {}, rows));
}

function space({ free, total, min_free: least }) {
  const share = total > 0 ? 1 - free / total : 0;
  const fill = h("span", {});
  fill.style.width = `${(share * 100).toFixed(1)}%`;
  const tight = free < least * 1.5;
  const words = t("folder.space", { free: size(free), total: size(total), least: size(least) });
  return h("div", { class: `space${tight ? " tight" : ""}` }, h("p", { class: `small ${tight ? "held" : "soft"}` }, words), h("div", { class: "bar", "aria-hidden": "true" }, fill));
}

function pauseButton(one, frame) {
  const verb = one.paused ? "resume" : "pause";
  const said = h("span", { class: "small bad", role: "alert" });
  const button = h("button", { type: "button", data: { key: `pause-${one.id}` }, "aria-label": t(`folder.${verb}_name`, { name: one.id }) }, icon(one.paused ? "play" : "pause"), t(`folder.${verb}`));
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    attribute(button, "aria-disabled", "true");
    said.textContent = "";
    try {
      await send("POST", place("folders", one.id, verb));
      frame.say(t(`folder.${verb}.said`, { name: one.id }));
      soon();
    } catch (refusal) {
      said.textContent = sentence(refusal);
    }
    attribute(button, "aria-disabled", null);
  });
  return h("span", { class: "row" }, button, said);
}
