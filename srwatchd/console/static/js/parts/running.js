// Pictures in work. Each is drawn in its own proportions as the sheet of its tiles, which fill as they are done.

import { attribute, h, keep, put, renew, s } from "../dom.js";
import { percent, pixels, span } from "../figures.js";
import { base, plain, shown } from "../names.js";
import { language, stageName, t } from "../texts.js";

const MOST = 400; // cells drawn at most; beyond it a cell stands for several tiles

/** Columns and rows of about `total` cells in the proportions of a picture; exactly `total` of them are drawn. */
export function sheet(total, width, height) {
  const cells = Math.max(1, Math.min(total, MOST));
  const columns = Math.max(1, Math.min(cells, Math.round(Math.sqrt((cells * (width || 1)) / (height || 1)))));
  return { cells, columns, rows: Math.ceil(cells / columns) };
}

export function running() {
  const list = h("ul", { class: "running" });
  const empty = h("p", { class: "soft small" });
  const element = h("div", {}, list, empty);
  const show = (pictures, alive) => {
    keep(list, pictures, (one) => `${one.job}|${one.folder}|${one.name}|${language}`, make, change);
    put(empty, pictures.length > 0 ? "" : alive ? t("running.none") : t("running.down"));
    empty.hidden = pictures.length > 0;
  };
  return { element, show };
}

function make(one) {
  const drawing = s("svg", { class: "tiles", "aria-hidden": "true", preserveAspectRatio: "none" });
  const name = h("span", { class: "clip", title: plain(one.name) }, shown(base(one.name)));
  const title = one.job ? h("a", { href: `#/jobs/${encodeURIComponent(one.job)}`, class: "clip" }, name) : name;
  const facts = h("span", { class: "soft small clip" });
  const stage = h("span", { class: "small busy" });
  const bar = h("div", { class: "unseen-text", role: "progressbar", "aria-label": plain(one.name), "aria-valuemin": "0", "aria-valuemax": "100" });
  const element = h("li", {}, drawing, h("div", { class: "running-words" }, title, facts, stage), bar);
  element.parts = { drawing, facts, stage, bar };
  return element;
}

function change(element, one) {
  const { drawing, facts, stage, bar } = element.parts;
  put(facts, [one.folder, pixels(one.width, one.height)].map(plain).join(" · "));
  const counted = one.total > 0;
  const share = counted ? one.done / one.total : 0;
  const words = counted ? t("running.tiles", { done: one.done, n: one.total, share: percent(share) }) : "";
  put(stage, [stageName(one.stage), words, one.seconds >= 1 ? span(Math.round(one.seconds)) : ""].filter(Boolean).join(" · "));
  if (counted) attribute(bar, "aria-valuenow", Math.round(share * 100));
  else attribute(bar, "aria-valuenow", null);
  attribute(bar, "aria-valuetext", `${stageName(one.stage)} ${words}`.trim());
  drawTiles(drawing, one, share);
}

function drawTiles(drawing, one, share) {
  const wide = one.width || 4;
  const high = one.height || 3;
  const longest = Math.max(wide, high);
  const box = [Math.max(16, (72 * wide) / longest), Math.max(16, (72 * high) / longest)];
  const plan = sheet(one.total || 1, wide, high);
  renew(drawing, [plan, box], () => {
    attribute(drawing, "viewBox", `0 0 ${plan.columns} ${plan.rows}`);
    attribute(drawing, "width", box[0].toFixed(1));
    attribute(drawing, "height", box[1].toFixed(1));
    const gap = plan.cells > 150 ? 0.06 : 0.04;
    return Array.from({ length: plan.cells }, (_, index) => {
      const last = Math.floor(index / plan.columns) === plan.rows - 1;
      const inRow = last ? plan.cells - (plan.rows - 1) * plan.columns : plan.columns;
      const width = plan.columns / inRow;
      return s("rect", { x: (index % plan.columns) * width + gap, y: Math.floor(index / plan.columns) + gap, width: width - 2 * gap, height: 1 - 2 * gap });
    });
  });
  const done = Math.floor(share * plan.cells + 1e-6);
  [...drawing.children].forEach((cell, index) => attribute(cell, "class", index < done ? "done" : index === done && one.total > 0 ? "next" : null));
}

