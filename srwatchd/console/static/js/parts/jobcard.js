// A job in a list: as a card with its picture, or as a row of the history.

import { api } from "../api.js";
import { h, icon } from "../dom.js";
import { fullMoment, moment, pixels, span } from "../figures.js";
import { base, parents, plain, shown } from "../names.js";
import { t, titleOf } from "../texts.js";

/** The picture of a job, or its symbol where there is none to show. */
export function thumbnail(job) {
  const present = job.result?.present !== false || job.source.present !== false;
  const failed = job.outcome === "quarantined" || job.outcome === "failed";
  const frame = h("span", { class: "thumbnail", "aria-hidden": "true" });
  const symbol = () => frame.replaceChildren(icon(failed ? "alert" : "file"));
  if (!present || job.outcome === "running" || (failed && !job.source.width)) {
    symbol();
    return frame;
  }
  const image = h("img", { src: api("jobs", job.job, "thumbnail"), alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("error", symbol, { once: true });
  frame.append(image);
  return frame;
}

/** The outcome in a word, with a symbol only where it is not the ordinary one. */
export function outcome(job) {
  const bad = job.outcome === "quarantined" || job.outcome === "failed";
  const text = bad && job.code ? titleOf(job.code) : t(`outcome.${job.outcome}`);
  const kind = bad ? "bad" : job.outcome === "running" ? "busy" : job.outcome === "released" ? "held" : "soft";
  return h("span", { class: `outcome ${kind}` }, bad && icon("alert"), text);
}

function address(job) {
  return `#/jobs/${encodeURIComponent(job.job)}`;
}

function edges(job) {
  if (!job.source.width) return job.source.format ?? "";
  const from = pixels(job.source.width, job.source.height);
  return job.result?.width ? `${from} → ${pixels(job.result.width, job.result.height)}` : from;
}

export function card(job) {
  const words = h(
    "span",
    { class: "card-words" },
    h("span", { class: "clip name", title: plain(job.name) }, shown(base(job.name))),
    h("span", { class: "clip small soft" }, shown(job.folder), job.scale ? ` · ×${job.scale}` : ""),
    h("span", { class: "small card-last" }, outcome(job), h("time", { class: "faint", datetime: job.ended_at, title: fullMoment(job.ended_at) }, moment(job.ended_at))),
  );
  return h("li", { class: "card" }, h("a", { href: address(job), data: { key: `job-${job.job}` } }, thumbnail(job), words));
}

export function row(job) {
  const where = parents(job.name);
  const name = h("a", { href: address(job), class: "clip name", title: plain(job.name), data: { key: `job-${job.job}` } }, shown(base(job.name)));
  return h(
    "li",
    { class: "jobrow" },
    thumbnail(job),
    h("span", { class: "jobrow-name" }, name, h("span", { class: "small faint clip" }, shown(job.folder), where && " / ", where && shown(where))),
    h("span", { class: "jobrow-edges small soft" }, edges(job)),
    h("span", { class: "jobrow-model small soft clip" }, job.model ?? ""),
    h("span", { class: "jobrow-outcome small" }, outcome(job)),
    h("span", { class: "jobrow-seconds small soft number" }, job.seconds === null ? "" : span(job.seconds)),
    h("time", { class: "jobrow-at small soft number", datetime: job.claimed_at, title: fullMoment(job.claimed_at) }, moment(job.ended_at ?? job.claimed_at)),
  );
}
