// The evidence: whether its chain is whole, its end, and a copy to take away.

import { get, query, send } from "../api.js";
import { attribute, h, icon, refill } from "../dom.js";
import { ago, count, fullMoment, moment, size } from "../figures.js";
import { follow } from "../live.js";
import { base, plain, shown } from "../names.js";
import { operator } from "../session.js";
import { t } from "../texts.js";
import { reason, sentence } from "../parts/failure.js";
import { actionName, fieldList } from "../parts/timeline.js";

const PAGE = 60;
const TAIL = 3000; // milliseconds between two looks at the end, at least
const ACTIONS = [
  "job.claimed", "job.delivered", "job.completed", "job.quarantined", "job.attempt_failed", "job.released", "job.recovered",
  "job.produced", "job.failed", "folder.held", "folder.resumed", "control.paused", "control.resumed", "control.retried",
  "model.selected", "model.refused", "model.imported", "model.removed", "configuration.loaded", "configuration.refused",
  "daemon.started", "daemon.stopped", "file.removed", "hook.failed", "ledger.segment_started", "ledger.mended",
  "ledger.break_found", "ledger.segment_retired", "ledger.checkpointed",
];
const EXPORTS = ["jsonl", "csv"];

export function ledger({ query: asked }) {
  const chain = h("section", { class: "chain", "aria-label": t("ledger.chain") });
  const lines = h("ol", { class: "ledger-lines", "aria-label": t("ledger.lines") });
  const pager = h("nav", { class: "pager row", "aria-label": t("history.pages") });
  const action = h("select", {}, h("option", { value: "" }, t("history.any")), ACTIONS.map((one) => h("option", { value: one }, actionName(one))));
  const said = h("p", { class: "bad", role: "alert" });
  const tools = h("div", { class: "row ledger-tools" }, h("label", { class: "field" }, h("span", {}, t("ledger.action")), action));
  const element = h("div", { class: "page" }, h("h1", { tabindex: "-1" }, t("nav.ledger")), chain, said, tools, lines, pager);
  let current = asked;
  let turn = 0;
  let watching = null;

  action.value = asked.get("action") ?? "";
  action.addEventListener("change", () => (location.hash = `#/ledger${query({ action: action.value })}`));
  const verify = h("button", { type: "button", class: "main", data: { key: "verify" } }, icon("check"), t("ledger.verify"));
  verify.addEventListener("click", async () => {
    if (verify.getAttribute("aria-disabled")) return;
    said.textContent = "";
    try {
      showChain(await startVerification());
    } catch (refusal) {
      said.textContent = sentence(refusal);
    }
  });

  async function startVerification() {
    await send("POST", "/ledger/verify");
    return get("/ledger/state");
  }

  function showChain(state) {
    const checking = state.verification?.state === "running";
    attribute(verify, "aria-disabled", checking ? "true" : null);
    const exports = EXPORTS.map((format) => h("a", { class: "button", href: `/api/v1/ledger/export?format=${format}`, download: true, data: { key: format } }, icon("download"), t(`ledger.export.${format}`)));
    refill(chain, verdict(state), chainFacts(state), h("div", { class: "row" }, operator() && verify, exports));
    clearTimeout(watching);
    if (checking) watching = setTimeout(loadState, 1000);
  }

  async function loadState() {
    try {
      showChain(await get("/ledger/state"));
    } catch (refusal) {
      refill(chain, h("div", { class: "notice" }, icon("alert"), reason(refusal)));
    }
  }

  async function loadLines() {
    const mine = (turn += 1);
    try {
      const answer = await get(`/ledger${query({ action: current.get("action"), before: current.get("before"), limit: PAGE })}`);
      if (mine !== turn) return;
      refill(lines, answer.lines.length ? answer.lines.map(line) : h("li", { class: "empty" }, icon("ledger"), t("ledger.empty")));
      const here = { action: current.get("action") };
      refill(
        pager,
        current.get("before") && h("a", { class: "button", href: `#/ledger${query(here)}`, data: { key: "newest" } }, icon("left"), t("history.newest")),
        answer.next !== null && answer.next !== undefined && h("a", { class: "button", href: `#/ledger${query({ ...here, before: answer.next })}`, data: { key: "older" } }, t("history.older"), icon("right")),
      );
    } catch (refusal) {
      if (mine === turn) refill(lines, h("li", { class: "notice" }, icon("alert"), reason(refusal)));
    }
  }

  loadState();
  loadLines();
  // The newest lines follow what happens, but never while somebody reads one or has gone back.
  let seen = performance.now();
  const stop = follow(() => {
    if (performance.now() - seen < TAIL || current.get("before") || lines.querySelector("details[open]") || lines.contains(document.activeElement)) return;
    seen = performance.now();
    loadState();
    loadLines();
  });
  return {
    element,
    title: t("nav.ledger"),
    leave: () => {
      stop();
      clearTimeout(watching);
    },
    turn: ({ query: wanted }) => {
      current = wanted;
      action.value = wanted.get("action") ?? "";
      loadLines().then(() => scrollTo(0, 0));
    },
  };
}

function verdict({ verification }) {
  const state = verification?.state ?? "never";
  const bad = state === "broken" || state === "failed";
  const box = h("div", { class: `notice ${bad ? "" : state === "unchecked" ? "hold" : "calm"}`, data: { state } }, icon(bad ? "alert" : state === "whole" ? "check" : state === "running" ? "retry" : "info"));
  box.append(h("p", {}, h("strong", {}, t(`ledger.state.${state}`))));
  if (!verification) return box;
  const words = [
    verification.lines !== null && verification.lines !== undefined ? t("ledger.checked", { n: verification.lines }) : null,
    verification.faults ? t("ledger.faults", { n: verification.faults }) : null,
    verification.ended ? ago(verification.ended) : null,
  ].filter(Boolean);
  box.append(h("p", { class: "soft small" }, words.join(" · ")));
  if (verification.message && bad) box.append(h("p", { class: "small", lang: "en" }, shown(verification.message)));
  return box;
}

function chainFacts({ last_sequence: sequence, last_hash: hash, last_at: at, segments }) {
  const bytes = segments.reduce((sum, segment) => sum + segment.size, 0);
  const fact = (key, ...value) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value));
  return h(
    "dl",
    { class: "facts chain-facts" },
    fact("ledger.sequence", count(sequence)),
    fact("ledger.last", at ? h("time", { datetime: at, title: fullMoment(at) }, moment(at)) : "–"),
    fact("ledger.segments", t("ledger.segments.value", { n: segments.length, size: size(bytes) })),
    fact("ledger.hash", h("span", { class: "mono hash" }, groups(hash))),
  );
}

/** A hash in groups of eight, which can be compared by eye. */
function groups(hash) {
  return hash ? hash.match(/.{1,8}/g).flatMap((part, index) => (index ? [" ", part] : [part])) : "–";
}

function line(one) {
  const bad = one.outcome === "failure";
  const name = one.fields["file.path"];
  const folder = one.fields["srwatchd.folder"] ?? one.fields["srwatchd.folder.id"];
  const title = h("summary", {}, h("span", { class: "mono faint sequence" }, count(one.sequence)), h("time", { class: "small soft number", datetime: one.at, title: fullMoment(one.at) }, moment(one.at)), h("span", { class: bad ? "bad action clip" : "action clip" }, actionName(one.action)));
  const about = h("span", { class: "about clip", title: name ? plain(name) : null });
  if (folder) about.append(shown(folder, { class: "soft" }), name ? " / " : "");
  if (name) about.append(shown(base(name)));
  title.append(about, h("span", { class: "mono faint link", title: one.hash }, one.hash.slice(0, 8)));
  const details = h("details", {}, title);
  details.addEventListener("toggle", () => {
    if (!details.open || details.childElementCount > 1) return;
    if (one.job) details.append(h("p", { class: "small" }, h("a", { href: `#/jobs/${encodeURIComponent(one.job)}` }, t("ledger.job"))));
    details.append(fieldList(one.fields));
  });
  return h("li", {}, details);
}

