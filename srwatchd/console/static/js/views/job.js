// One picture: before and after, what became of it and why, and everything that the ledger says about it.

import { api, get, place } from "../api.js";
import { h, icon, refill } from "../dom.js";
import { fullMoment, moment, pixels, size, span } from "../figures.js";
import { follow, live } from "../live.js";
import { base, parents, plain, shown } from "../names.js";
import { operator } from "../session.js";
import { stageName, t } from "../texts.js";
import { retryButton } from "../parts/attention.js";
import { reason } from "../parts/failure.js";
import { outcome } from "../parts/jobcard.js";
import { running } from "../parts/running.js";
import { timeline } from "../parts/timeline.js";
import { Viewer } from "../viewer/viewer.js";

const STAGES = ["settle", "queue", "decode", "upscale", "encode", "verify", "deliver", "archive"];
const HEADING = { tabindex: "-1", data: { key: "heading" } };

export function job({ rest: [id] }) {
  const element = h("div", { class: "page job", "aria-busy": "true" }, h("h1", HEADING, t("job.loading")));
  let viewer = null;
  let state = null;
  let left = false;
  const work = running();

  async function load() {
    let found;
    try {
      found = await get(place("jobs", id));
    } catch (refusal) {
      refill(element, h("h1", HEADING, t("job.unknown")), h("div", { class: "notice" }, icon("alert"), reason(refusal)), h("p", {}, h("a", { href: "#/history" }, t("nav.history"))));
      element.removeAttribute("aria-busy");
      return;
    }
    if (left) return;
    const mark = `${found.outcome}|${found.timeline.length}`;
    if (mark === state) return;
    state = mark;
    viewer?.leave();
    viewer = viewerOf(found);
    document.title = `${plain(base(found.name))} · srwatchd`;
    refill(element, parts(found));
    element.removeAttribute("aria-busy");
  }

  function parts(found) {
    return [
      head(found, load),
      found.outcome === "running" ? work.element : null,
      found.code && h("div", { class: `notice${found.outcome === "running" ? " hold" : ""}` }, icon("alert"), reason(found), found.retryable && operator() && h("div", { class: "row" }, retryButton(found.job, found.name, load))),
      viewer?.element ?? (found.outcome === "running" ? null : gone(found)),
      h("div", { class: "job-columns" }, facts(found), steps(found)),
    ];
  }

  const stop = follow(({ now }) => {
    if (!now || state === null || !state.startsWith("running")) return;
    const mine = now.running.filter((one) => one.job === id);
    work.show(mine, true);
    if (mine.length === 0 || now.recent.some((one) => one.job === id)) load();
  });
  load().then(() => live.now && work.show(live.now.running.filter((one) => one.job === id), true));
  const leave = () => {
    left = true;
    stop();
    viewer?.leave();
  };
  return { element, title: t("nav.job"), leave };
}

function viewerOf(found) {
  const usable = (picture) => (picture && picture.width && picture.height && picture.present !== false ? picture : null);
  const source = usable(found.source);
  const result = usable(found.result);
  if (source === null && result === null) return null;
  return new Viewer(found.job, source, result, t(result ? "viewer.label" : "viewer.label.source", { name: plain(base(found.name)) }));
}

function gone(found) {
  const never = !found.source.width;
  return h("p", { class: "empty" }, icon("file"), t(never ? "job.no_picture" : "job.gone"));
}

function head(found) {
  const where = parents(found.name);
  const download = (which, picture, main) =>
    picture && picture.present !== false && h("a", { class: main ? "button strong" : "button", href: api("jobs", found.job, "download", which), download: true, data: { key: `download-${which}` } }, icon("download"), t(`job.download.${which}`));
  return h(
    "header",
    { class: "job-head" },
    h(
      "div",
      {},
      h("p", { class: "small soft" }, h("a", { href: `#/history?folder=${encodeURIComponent(found.folder)}` }, shown(found.folder)), where && " / ", where && shown(where)),
      h("h1", HEADING, shown(base(found.name))),
      h("p", { class: "soft" }, outcome(found), " · ", h("time", { datetime: found.ended_at ?? found.claimed_at, title: fullMoment(found.ended_at ?? found.claimed_at) }, moment(found.ended_at ?? found.claimed_at))),
    ),
    found.outcome !== "running" && h("div", { class: "row" }, found.result && download("result", found.result, true), download("source", found.source, false)),
  );
}

function pictureWords(picture) {
  if (!picture) return null;
  const format = picture.format ? picture.format.toUpperCase() : null;
  return [format, picture.width ? pixels(picture.width, picture.height) : null, picture.size !== null ? size(picture.size) : null, picture.present === false ? t("job.not_there") : null].filter(Boolean).join(" · ");
}

function facts(found) {
  const rows = [
    ["job.source", pictureWords(found.source)],
    ["job.result", found.result && [found.result.name && shown(found.result.name), h("br"), pictureWords(found.result)]],
    ["job.model", found.model && [found.model, found.scale ? ` · ×${found.scale}` : ""]],
    ["job.engine", found.engine],
    ["job.claimed", h("time", { datetime: found.claimed_at }, fullMoment(found.claimed_at))],
    ["job.seconds", found.seconds === null ? null : span(found.seconds)],
    ["job.user", found.user && [shown(found.user), found.origin ? h("span", { class: "faint" }, ` · ${t(`origin.${found.origin}`)}`) : ""]],
    ["job.address", found.address],
    ["job.id", h("span", { class: "mono" }, found.job)],
  ];
  const list = h("dl", { class: "facts" }, rows.filter(([, value]) => value).map(([key, value]) => h("div", {}, h("dt", {}, t(key)), h("dd", {}, value))));
  return h("section", { "aria-labelledby": "title-facts" }, h("h2", { id: "title-facts" }, t("job.facts")), list, durations(found.durations));
}

/** How long each stage took: a bar in its parts, and the figures. */
function durations(all) {
  const parts = STAGES.filter((stage) => all[stage] > 0).map((stage) => [stage, all[stage]]);
  const sum = parts.reduce((total, [, seconds]) => total + seconds, 0);
  if (sum === 0) return null;
  const bar = h("div", { class: "stages-bar", "aria-hidden": "true" });
  const list = h("dl", { class: "stages small" });
  parts.forEach(([stage, seconds]) => {
    const piece = h("span", { data: { stage }, title: `${stageName(stage)} ${span(seconds)}` });
    piece.style.flexGrow = String(Math.max(seconds / sum, 0.004));
    bar.append(piece);
    list.append(h("div", {}, h("dt", {}, h("span", { class: "key", data: { stage } }), stageName(stage)), h("dd", { class: "number" }, span(seconds))));
  });
  return h("div", { class: "durations" }, h("h3", {}, t("job.durations")), bar, list);
}

function steps(found) {
  const title = h("h2", { id: "title-timeline" }, t("job.timeline"));
  return h("section", { "aria-labelledby": "title-timeline" }, title, h("p", { class: "small faint" }, t("job.timeline.more", { n: found.timeline.length })), timeline(found.timeline));
}

