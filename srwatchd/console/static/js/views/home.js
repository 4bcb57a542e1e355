// The first page: what needs a person, the place to drop pictures, what is at work, how it goes, what came out of it.

import { h, icon, put, renew } from "../dom.js";
import { count, rate } from "../figures.js";
import { follow } from "../live.js";
import { language, t } from "../texts.js";
import { attention } from "../parts/attention.js";
import { chart } from "../parts/chart.js";
import { dropZone } from "../parts/dropzone.js";
import { card } from "../parts/jobcard.js";
import { running } from "../parts/running.js";
import { uploadList } from "../parts/uploadlist.js";

const KNOWN_EMPTY = "no jobs";

function panel(key, ...children) {
  const title = h("h2", { id: `title-${key}` }, t(`home.${key}`));
  const head = h("header", {}, title);
  const element = h("section", { class: `panel ${key}`, "aria-labelledby": `title-${key}` }, head, ...children);
  return { element, head, title };
}

export function home({ frame }) {
  const say = (text) => frame.say(text);
  const needs = attention();
  const zone = dropZone(say);
  const list = uploadList();
  const work = running();
  const hour = chart();
  const figures = h("dl", { class: "figures" });
  const recent = h("ul", { class: "cards" });

  const drop = panel("drop", zone.element, list.element);
  const now = panel("now", figures, work.element);
  const flow = panel("hour", hour.element);
  const latest = panel("recent", recent);
  latest.head.append(h("a", { class: "small", href: "#/history" }, t("home.all")));

  const element = h(
    "div",
    { class: "page home" },
    h("h1", { class: "unseen-text", tabindex: "-1" }, t("nav.home")),
    needs.element,
    h("div", { class: "home-columns" }, drop.element, h("div", { class: "home-side" }, now.element, flow.element)),
    latest.element,
  );

  const stop = follow(({ now: live, reachable, refusal }) => {
    needs.show(live, reachable, refusal);
    zone.show();
    if (!live) return;
    showFigures(figures, live);
    work.show(live.running, live.daemon.running);
    hour.show(live.throughput);
    showRecent(recent, live.recent);
  });
  const leave = () => {
    stop();
    list.leave();
  };
  return { element, title: t("nav.home"), leave };
}

function showFigures(element, { queue, throughput }) {
  const rows = [
    ["waiting", count(queue.waiting)],
    ["in_work", count(queue.in_work)],
    ["retrying", count(queue.retrying)],
    ["rate", rate(throughput.pictures_per_minute)],
    ["megapixels", rate(throughput.megapixels_per_minute)],
  ];
  if (element.childElementCount === 0) {
    for (const [name] of rows) element.append(h("div", { class: name }, h("dt", {}, t(`figure.${name}`)), h("dd", {}, "")));
  }
  rows.forEach(([, value], index) => put(element.children[index].lastChild, value));
}

function showRecent(list, jobs) {
  renew(list, [jobs.length ? jobs : KNOWN_EMPTY, language], () => {
    if (jobs.length > 0) return jobs.map(card);
    return h("li", { class: "empty" }, icon("history"), t("home.nothing_yet"));
  });
}
