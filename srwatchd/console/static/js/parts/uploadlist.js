// The uploads as people see them: a list on the home page, a badge in every other view.

import { attribute, h, icon, keep, put } from "../dom.js";
import { percent, size, speed } from "../figures.js";
import { base, parents, plain, shown } from "../names.js";
import { t } from "../texts.js";
import { uploads } from "../uploads.js";
import { reason } from "./failure.js";

function button(symbol, label, press) {
  return h("button", { type: "button", class: "plain square", "aria-label": label, title: label, on: { click: press } }, icon(symbol));
}

function make(upload) {
  const fill = h("span", {});
  const state = h("span", { class: "upload-state small" });
  const why = h("div", { class: "upload-why small" });
  const name = plain(base(upload.path));
  const cancel = button("cross", t("upload.cancel", { name }), () => uploads.cancel(upload));
  const again = button("retry", t("upload.retry", { name }), () => uploads.retry(upload));
  const title = h("span", { class: "clip", title: plain(upload.path) }, shown(base(upload.path)));
  const where = h("span", { class: "faint small clip" }, shown(upload.folder), parents(upload.path) && " / ", parents(upload.path) && shown(parents(upload.path)));
  const element = h("li", { class: "upload" }, h("div", { class: "upload-name" }, title, where), state, cancel, again, h("div", { class: "bar", "aria-hidden": "true" }, fill), why);
  element.parts = { fill, state, why, cancel, again };
  return element;
}

function change(element, upload) {
  const { fill, state, why, cancel, again } = element.parts;
  const share = upload.size > 0 ? upload.sent / upload.size : 0;
  fill.style.width = `${(share * 100).toFixed(1)}%`;
  attribute(element, "data-state", upload.state);
  cancel.hidden = upload.state === "failed";
  again.hidden = upload.state !== "failed";
  if (upload.state === "sending") {
    const whole = share >= 1 ? t("upload.storing") : `${percent(share)} · ${size(upload.size)} · ${speed(upload.speed)}`;
    put(state, whole);
  } else put(state, upload.state === "failed" ? t("upload.failed") : t("upload.waiting", { size: size(upload.size) }));
  if (upload.refusal !== why.refusal) {
    why.refusal = upload.refusal;
    why.replaceChildren(...(upload.refusal ? [reason(upload.refusal)] : []));
  }
}

/** The list with its summary. Gives `{element, leave}`. */
export function uploadList() {
  const list = h("ul", { class: "uploads", "aria-label": t("upload.title") });
  const sum = h("p", { class: "uploads-sum" });
  const more = h("p", { class: "faint small" });
  const left = h("p", { class: "faint small" });
  const fill = h("span", {});
  const bar = h("div", { class: "bar", role: "progressbar", "aria-label": t("upload.title"), "aria-valuemin": "0", "aria-valuemax": "100" }, fill);
  const stop = h("button", { type: "button", on: { click: () => uploads.cancelAll() } }, icon("cross"), t("upload.cancel_all"));
  const again = h("button", { type: "button", on: { click: () => uploads.retryAll() } }, icon("retry"), t("upload.retry_all"));
  const clear = h("button", { type: "button", class: "plain", on: { click: () => uploads.clear() } }, t("upload.clear"));
  const element = h("div", { class: "uploads-box", hidden: true }, h("div", { class: "row" }, sum, h("span", { class: "row push" }, again, stop, clear)), bar, list, more, left);
  const show = () => {
    const counts = uploads.counts;
    const { sent, total } = uploads.bytes;
    element.hidden = counts.all === 0;
    const rows = uploads.shown();
    keep(list, rows, (upload) => upload.id, make, change);
    if (element.hidden) return;
    put(sum, summary(counts));
    const share = total > 0 ? sent / total : 1;
    fill.style.width = `${(share * 100).toFixed(1)}%`;
    attribute(bar, "aria-valuenow", Math.round(share * 100));
    const rest = counts.waiting + counts.sending + counts.failed - rows.length;
    put(more, rest > 0 ? t("upload.more", { n: rest }) : "");
    put(left, uploads.left > 0 ? t("upload.left", { n: uploads.left }) : "");
    bar.hidden = !uploads.busy;
    stop.hidden = !uploads.busy;
    again.hidden = counts.failed < 2;
    clear.hidden = counts.done + counts.failed + counts.cancelled === 0;
  };
  show();
  uploads.addEventListener("change", show);
  return { element, leave: () => uploads.removeEventListener("change", show) };
}

function summary(counts) {
  const parts = [];
  if (counts.sending + counts.waiting > 0) parts.push(t("upload.sum.going", { n: counts.sending + counts.waiting }));
  if (uploads.speed > 0) parts.push(speed(uploads.speed));
  if (counts.done > 0) parts.push(t("upload.sum.done", { n: counts.done }));
  if (counts.failed > 0) parts.push(t("upload.sum.failed", { n: counts.failed }));
  if (counts.cancelled > 0) parts.push(t("upload.sum.cancelled", { n: counts.cancelled }));
  return parts.join(" · ");
}

/** A small note at the page's corner while uploads go on and the list is not in sight. It says when all are through. */
export function uploadsBadge(say) {
  const text = h("span", {});
  const element = h("a", { class: "badge", href: "#/", hidden: true }, icon("drop"), text);
  const show = () => {
    const { counts } = uploads;
    const away = document.querySelector(".uploads-box") === null;
    element.hidden = !away || (!uploads.busy && counts.failed === 0);
    if (!element.hidden) put(text, summary(counts));
  };
  const idle = () => {
    const { done, failed } = uploads.counts;
    say(failed > 0 ? t("upload.said.failed", { n: failed }) : t("upload.said.done", { n: done }));
  };
  uploads.addEventListener("change", show);
  uploads.addEventListener("idle", idle);
  addEventListener("hashchange", show);
  show();
  const leave = () => {
    uploads.removeEventListener("change", show);
    uploads.removeEventListener("idle", idle);
    removeEventListener("hashchange", show);
  };
  return { element, leave };
}
