// What the ledger says about a job, step by step.

import { h } from "../dom.js";
import { fine, fullMoment, span } from "../figures.js";
import { shown } from "../names.js";
import { has, t } from "../texts.js";

// What every line carries, and what stands elsewhere on the page.
const COMMON = /^(@timestamp|ecs\.|event\.(kind|category|type|sequence|action|outcome)|host\.|process\.|trace\.id$|srwatchd\.(hash|previous_hash)$)/;

export function actionName(action) {
  return has(`action.${action}`) ? t(`action.${action}`) : action;
}

/** A line's own fields, as names and values. */
export function fieldList(fields) {
  const rows = Object.entries(fields).filter(([name]) => !COMMON.test(name));
  return h("dl", { class: "fields small" }, rows.map(([name, value]) => h("div", {}, h("dt", { class: "mono" }, name), h("dd", {}, shown(typeof value === "string" ? value : JSON.stringify(value))))));
}

export function timeline(entries) {
  const begin = entries.length ? new Date(entries[0].at).getTime() : 0;
  return h(
    "ol",
    { class: "timeline" },
    entries.map((entry) => {
      const later = (new Date(entry.at).getTime() - begin) / 1000;
      const time = h("time", { class: "mono small soft number", datetime: entry.at, title: fullMoment(entry.at) }, `+${later < 60 ? fine(Math.max(0, later)) : span(later)}`);
      const bad = entry.outcome === "failure";
      const message = entry.fields["error.message"];
      const details = h(
        "details",
        {},
        h("summary", {}, h("span", { class: bad ? "bad" : null }, actionName(entry.action)), entry.seconds !== null && h("span", { class: "faint small" }, span(entry.seconds)), h("span", { class: "faint small mono sequence" }, `#${entry.sequence}`)),
      );
      details.addEventListener("toggle", () => {
        if (details.open && details.childElementCount === 1) details.append(fieldList(entry.fields));
      });
      return h("li", { class: bad ? "failure" : entry.outcome === "unknown" ? "intent" : null }, time, details, message && h("p", { class: "small soft", lang: "en" }, shown(message)));
    }),
  );
}
