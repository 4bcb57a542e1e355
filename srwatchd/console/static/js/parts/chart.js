// The last hour by minutes: delivered pictures upwards, failed ones in their colour on top.

import { h, renew, s } from "../dom.js";
import { count, moment } from "../figures.js";
import { language, t } from "../texts.js";

const HEIGHT = 64;
const STEP = 6;

export function chart() {
  const drawing = h("div", { class: "chart" });
  const words = h("p", { class: "small soft" });
  const element = h("figure", {}, drawing, h("figcaption", {}, words));
  const show = ({ minutes }) => {
    renew(drawing, [minutes, language], () => draw(minutes));
    const delivered = minutes.reduce((sum, minute) => sum + minute.delivered, 0);
    const failed = minutes.reduce((sum, minute) => sum + minute.failed, 0);
    words.textContent = [t("chart.delivered", { n: delivered }), failed > 0 ? t("chart.failed", { n: failed }) : null].filter(Boolean).join(" · ");
  };
  return { element, show };
}

function draw(minutes) {
  const most = Math.max(1, ...minutes.map((minute) => minute.delivered + minute.failed));
  const width = Math.max(1, minutes.length) * STEP;
  const picture = s("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": t("chart.label", { n: most }) });
  minutes.forEach((minute, index) => {
    const group = s("g", { class: "minute" }, s("title", {}, `${moment(minute.at)} · ${t("chart.delivered", { n: minute.delivered })} · ${t("chart.failed", { n: minute.failed })}`));
    group.append(s("rect", { class: "space", x: index * STEP, y: 0, width: STEP, height: HEIGHT }));
    group.append(bar("delivered", index, 0, minute.delivered, most), bar("failed", index, minute.delivered, minute.failed, most));
    picture.append(group);
  });
  const scale = h("span", { class: "chart-most faint small", "aria-hidden": "true" }, count(most));
  const begin = h("span", { class: "faint small" }, minutes.length ? moment(minutes[0].at).replace(/(:\d\d):\d\d/, "$1") : "");
  return [scale, picture, h("div", { class: "chart-axis", "aria-hidden": "true" }, begin, h("span", { class: "faint small" }, t("chart.now")))];
}

function bar(kind, index, below, value, most) {
  const unit = (HEIGHT - 2) / most;
  const height = value * unit;
  return s("rect", { class: kind, x: index * STEP + 1, y: HEIGHT - below * unit - height, width: STEP - 2, height });
}
