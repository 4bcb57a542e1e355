// The models: what each is good at, who uses it, whether its file is the recorded one; and the way for a new one to come in.

import { api, get, place, query, refusalOf, send } from "../api.js";
import { attribute, h, icon, put, refill, renew } from "../dom.js";
import { count, moment, percent } from "../figures.js";
import { follow } from "../live.js";
import { shown } from "../names.js";
import { operator } from "../session.js";
import { t } from "../texts.js";
import { reason, sentence } from "../parts/failure.js";

const SETS = ["Set5", "Kodak", "Kodak JPEG 85", "Kodak JPEG 75"];
let going = null; // the import that is under way: whoever looks elsewhere meanwhile finds it again
const ARCHITECTURES = ["fsrcnn", "espcn", "lapsrn", "edsr", "onnx"];

export function models({ frame }) {
  const body = h("tbody", {});
  const table = h(
    "table",
    { class: "models" },
    h("caption", { class: "unseen-text" }, t("nav.models")),
    h("thead", {}, h("tr", {}, ["model.name", "model.scale", "model.parameters"].map((key) => h("th", { scope: "col", class: key === "model.name" ? null : "number" }, t(key))), SETS.map((set) => h("th", { scope: "col", class: "number", abbr: set }, set)), h("th", { scope: "col" }, t("model.used")), h("th", { scope: "col" }, h("span", { class: "unseen-text" }, t("model.verify"))))),
    body,
  );
  const note = h("p", { class: "small soft" }, t("model.scores"));
  const failed = h("div", {});
  const entry = operator() ? importing(() => load(), frame) : null;
  const element = h("div", { class: "page" }, h("h1", { tabindex: "-1" }, t("nav.models")), entry?.element, failed, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": t("nav.models") }, table), note);

  async function load() {
    try {
      const { models: all } = await get("/models");
      const best = Object.fromEntries(SETS.map((set) => [set, bestOf(all, set)]));
      const sorted = [...all].sort((a, b) => a.scale - b.scale || a.name.localeCompare(b.name));
      refill(body, sorted.map((one, index) => line(one, best, index > 0 && sorted[index - 1].scale !== one.scale)));
      refill(failed);
    } catch (refusal) {
      refill(failed, h("div", { class: "notice" }, icon("alert"), reason(refusal)));
    }
  }

  let before = null;
  const stop = follow(({ now }) => {
    const mark = JSON.stringify(now?.folders.map(({ id, model }) => [id, model]));
    if (mark === before) return;
    before = mark;
    load();
  });
  const leave = () => {
    stop();
    entry?.leave();
  };
  return { element, title: t("nav.models"), leave };
}

const psnr = (score) => (typeof score === "number" ? score : (score?.psnr ?? null));

/** The best figure of a set at each scale. */
function bestOf(all, set) {
  const best = {};
  for (const { scale, scores } of all) best[scale] = Math.max(best[scale] ?? 0, psnr(scores?.[set]) ?? 0);
  return best;
}

function line(one, best, first) {
  const said = h("span", { class: "small", role: "status" });
  const verify = h("button", { type: "button", class: "plain", "aria-label": t("model.verify_name", { name: one.name }), data: { key: `verify-${one.name}` } }, icon("check"), t("model.verify"));
  verify.addEventListener("click", async () => {
    if (verify.getAttribute("aria-disabled")) return;
    attribute(verify, "aria-disabled", "true");
    said.className = "small busy";
    put(said, t("model.verifying"));
    try {
      const { ok, message } = await send("POST", place("models", one.name, "verify"));
      said.className = ok ? "small soft" : "small bad";
      put(said, ok ? t("model.good") : message);
    } catch (refusal) {
      said.className = "small bad";
      put(said, sentence(refusal));
    }
    attribute(verify, "aria-disabled", null);
  });
  const scores = SETS.map((set) => {
    const value = psnr(one.scores?.[set]);
    const top = value !== null && value === best[set][one.scale];
    return h("td", { class: "number", data: { label: set } }, value === null ? h("span", { class: "faint" }, "–") : h(top ? "strong" : "span", {}, count(value, 2)));
  });
  const about = [one.architecture.toUpperCase(), one.origin === "imported" ? t("model.imported") : null, one.licence || null].filter(Boolean).join(" · ");
  return h(
    "tr",
    { class: first ? "another-scale" : null, data: { model: one.name } },
    h("th", { scope: "row" }, shown(one.name), h("div", { class: "faint small" }, about)),
    h("td", { class: "number", data: { label: t("model.scale") } }, `×${one.scale}`),
    h("td", { class: "number", data: { label: t("model.parameters") } }, count(one.parameters)),
    scores,
    h("td", { data: { label: t("model.used") } }, one.folders.length ? one.folders.map((id, index) => [index ? ", " : "", h("a", { href: `#/folders?id=${encodeURIComponent(id)}`, data: { key: `${one.name}/${id}` } }, shown(id))]) : h("span", { class: "faint" }, "–")),
    h("td", { class: "verify" }, operator() && verify, said),
  );
}

/** The form by which a model comes in, and what becomes of it. */
function importing(done, frame) {
  const file = h("input", { type: "file", required: true, accept: ".pb,.onnx,.tar", id: "model-file" });
  const text = (example) => h("input", { type: "text", autocomplete: "off", spellcheck: "false", placeholder: example });
  const fields = {
    name: text("my_net_x4"),
    architecture: h("select", {}, h("option", { value: "" }, t("model.find_out")), ARCHITECTURES.map((one) => h("option", { value: one }, one.toUpperCase()))),
    scale: h("input", { type: "number", min: "2", max: "16", step: "1", placeholder: t("model.find_out") }),
    sha256: h("input", { type: "text", class: "mono", autocomplete: "off", spellcheck: "false", pattern: "[0-9a-fA-F]{64}", placeholder: "64 × 0–9 a–f" }),
  };
  const button = h("button", { type: "submit", class: "main" }, icon("plus"), t("model.import"));
  const form = h(
    "form",
    { class: "import-form" },
    h("p", { class: "soft small" }, t("model.import.more")),
    h("label", { class: "field" }, h("span", {}, t("model.file")), file),
    h("div", { class: "row import-fields" }, Object.entries(fields).map(([name, control]) => h("label", { class: `field import-${name}` }, h("span", {}, t(`model.import.${name}`)), control))),
    h("div", { class: "row" }, button),
  );
  const headline = h("p", { role: "status" }); // is read out; not each step, nor how much has been sent
  const more = h("div", {});
  const state = h("div", { class: "import-state" }, headline, more);
  const details = h("details", { class: "import" }, h("summary", {}, icon("plus"), t("model.import")), form, state);
  let timer = null;
  let left = false;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.getAttribute("aria-disabled")) return;
    attribute(button, "aria-disabled", "true");
    tell([], []);
    const chosen = file.files[0];
    const values = Object.fromEntries(Object.entries(fields).map(([name, control]) => [name, control.value.trim()]));
    const request = new XMLHttpRequest();
    request.open("POST", api("models") + query({ ...values, filename: chosen.name }));
    request.setRequestHeader("X-Srwatchd", "1");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", ({ loaded, total }) => tell([], [h("p", { class: "busy" }, t("model.uploading", { share: percent(total ? loaded / total : 0) }))]));
    request.addEventListener("error", () => ended(refusalOf(0, "")));
    request.addEventListener("load", () => {
      if (request.status !== 202) ended(refusalOf(request.status, request.responseText));
      else {
        going = JSON.parse(request.responseText).import;
        if (!left) watch(going);
      }
    });
    request.send(chosen);
  });

  function tell(words, rest) {
    headline.signature = more.signature = null;
    headline.replaceChildren(...words);
    more.replaceChildren(...rest);
  }

  async function watch(id) {
    try {
      const answer = await get(place("models", "imports", id));
      if (left) return; // whoever comes back watches it anew
      show(answer);
      if (answer.state === "running") timer = setTimeout(() => watch(id), 1000);
      else ended(null, answer);
    } catch (refusal) {
      if (!left) ended(refusal);
    }
  }

  function show({ steps, state: now, model, error, file: name }) {
    renew(headline, [now, model, name], () => [h("strong", {}, t(`model.import.${now}`)), " ", shown(model ?? name)]);
    renew(more, [steps, error], () => [
      h("ol", { class: "import-steps small" }, steps.map((step) => h("li", {}, h("time", { class: "faint number", datetime: step.at }, moment(step.at)), h("span", { lang: "en" }, shown(step.text))))),
      error && h("div", { class: "notice" }, icon("alert"), reason(error)),
    ]);
  }

  function ended(refusal, answer = null) {
    attribute(button, "aria-disabled", null);
    going = null;
    if (refusal) tell([h("strong", {}, t("model.import.failed"))], [h("div", { class: "notice" }, icon("alert"), reason(refusal))]);
    if (answer?.state === "imported") {
      frame.say(t("model.import.imported"));
      form.reset();
      done();
    }
  }

  if (going !== null) {
    details.open = true;
    attribute(button, "aria-disabled", "true");
    watch(going);
  }
  const leave = () => {
    left = true;
    clearTimeout(timer);
  };
  return { element: details, leave };
}

