// Before and after: the enlarged source and the result at the same place, parted by a slider or side by side, down to the pixel.

import { attribute, h, icon, put } from "../dom.js";
import { count, percent } from "../figures.js";
import { t } from "../texts.js";
import { Camera, STOPS } from "./camera.js";
import { gestures } from "./gestures.js";
import { Regions } from "./regions.js";

const GAP = 2; // CSS pixels between two pictures side by side

export class Viewer {
  #canvas = h("canvas", { tabindex: "0", role: "application", "aria-describedby": "viewer-keys" });
  #slider = h("input", { type: "range", min: "0", max: "1000", value: "500", class: "slider" });
  #line = h("span", { class: "slider-line", "aria-hidden": "true" });
  #names = { source: h("span", { class: "tag before" }, t("viewer.source")), result: h("span", { class: "tag after" }, t("viewer.result")) };
  #zoom = h("output", { class: "zoom" });
  #note = h("p", { class: "viewer-note", role: "status", hidden: true });
  #pressed = new Map();
  #drawing = 0;
  mode = "wipe";
  smooth = true;

  /** `source` and `result` are pictures with width and height, or null where there is none to show. */
  constructor(job, source, result, label) {
    const main = result ?? source;
    this.pictures = {
      source: source && new Regions(job, "source", source.width, source.height, () => this.draw()),
      result: result && new Regions(job, "result", result.width, result.height, () => this.draw()),
    };
    this.camera = new Camera(main.width, main.height);
    this.both = source !== null && result !== null;
    attribute(this.#canvas, "aria-label", label);
    attribute(this.#slider, "aria-label", t("viewer.slider"));
    this.#slider.addEventListener("input", () => this.draw());
    gestures(this.#canvas, this.camera, () => this.draw(), this.both ? { s: () => this.#setSmooth(!this.smooth), m: () => this.#setMode(this.mode === "wipe" ? "pair" : "wipe") } : {});
    this.stage = h("div", { class: "stage" }, this.#canvas, this.#line, this.both && this.#slider, this.#names.source, this.#names.result, this.#note);
    this.element = h("div", { class: "viewer" }, this.#tools(), this.stage, h("p", { id: "viewer-keys", class: "keys small faint" }, t(this.both ? "viewer.keys" : "viewer.keys.one")));
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.stage);
    this.#setMode("wipe");
    this.#setSmooth(true);
  }

  leave() {
    this.observer.disconnect();
    cancelAnimationFrame(this.#drawing);
    for (const picture of Object.values(this.pictures)) picture?.close();
  }

  draw() {
    if (this.#drawing === 0) this.#drawing = requestAnimationFrame(() => this.#paint());
  }

  #tools() {
    const press = (name, symbol, label, action) => {
      const button = h("button", { type: "button", class: "plain", "aria-label": label, title: label, on: { click: () => (action(), this.draw()) } }, symbol);
      this.#pressed.set(name, button);
      return button;
    };
    const zooms = [
      press("out", icon("minus"), t("viewer.out"), () => this.camera.step(-1)),
      press("fit", icon("fit"), t("viewer.fit"), () => this.camera.toFit()),
      ...STOPS.map((stop) => press(`x${stop}`, `${stop}:1`, t("viewer.stop", { n: stop }), () => this.camera.zoomTo(stop))),
      press("in", icon("plus"), t("viewer.in"), () => this.camera.step(1)),
    ];
    const group = (label, ...buttons) => h("div", { class: "group", role: "group", "aria-label": label }, buttons);
    const tools = h("div", { class: "viewer-tools" }, group(t("viewer.zoom"), zooms), this.#zoom);
    if (!this.both) return tools;
    const words = (symbol, text) => [icon(symbol), h("span", { class: "wide-only" }, text)];
    tools.append(
      group(t("viewer.mode"), press("wipe", words("wipe", t("viewer.wipe")), t("viewer.wipe"), () => this.#setMode("wipe")), press("pair", words("pair", t("viewer.pair")), t("viewer.pair"), () => this.#setMode("pair"))),
      group(t("viewer.enlarged"), press("nearest", words("pixels", t("viewer.nearest")), t("viewer.nearest.more"), () => this.#setSmooth(false)), press("smooth", words("smooth", t("viewer.smooth")), t("viewer.smooth.more"), () => this.#setSmooth(true))),
    );
    return tools;
  }

  #setMode(mode) {
    this.mode = this.both ? mode : "one";
    if (this.both) for (const name of ["wipe", "pair"]) attribute(this.#pressed.get(name), "aria-pressed", name === mode);
    this.stage.dataset.mode = this.mode;
    this.#fit();
  }

  #setSmooth(smooth) {
    this.smooth = smooth;
    if (!this.both) return;
    attribute(this.#pressed.get("smooth"), "aria-pressed", smooth);
    attribute(this.#pressed.get("nearest"), "aria-pressed", !smooth);
    this.draw();
  }

  #fit() {
    const ratio = devicePixelRatio || 1;
    const box = this.stage.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * ratio));
    const height = Math.max(1, Math.round(box.height * ratio));
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    this.camera.resize(this.mode === "pair" ? Math.floor((width - GAP * ratio) / 2) : width, height);
    this.draw();
  }

  #paint() {
    this.#drawing = 0;
    const { camera } = this;
    const context = this.#canvas.getContext("2d", { alpha: true });
    context.clearRect(0, 0, this.#canvas.width, this.#canvas.height);
    const { width, height } = camera.view;
    const { source, result } = this.pictures;
    if (this.mode === "one") this.#picture(context, result ?? source, 0, width, 0);
    else if (this.mode === "pair") {
      this.#picture(context, source, 0, width, 0);
      this.#picture(context, result, this.#canvas.width - width, this.#canvas.width, this.#canvas.width - width);
    } else {
      const split = Math.round((width * Number(this.#slider.value)) / 1000);
      this.#picture(context, source, 0, split, 0);
      this.#picture(context, result, split, width, 0);
      this.#line.style.left = `${Number(this.#slider.value) / 10}%`;
    }
    this.#show(height);
  }

  /** Draws a picture between two columns of the canvas; `shift` is where its own view begins. */
  #picture(context, picture, left, right, shift) {
    if (picture === null || right <= left) return;
    const { camera } = this;
    const factor = { x: camera.width / picture.width, y: camera.height / picture.height };
    const part = camera.seen(left - shift, 0, right - shift, camera.view.height);
    const own = { left: part.left / factor.x, right: part.right / factor.x, top: part.top / factor.y, bottom: part.bottom / factor.y };
    const scale = { x: camera.scale * factor.x, y: camera.scale * factor.y };
    const { x, y } = camera.origin;
    context.save();
    context.beginPath();
    context.rect(left, 0, right - left, camera.view.height);
    context.clip();
    const source = picture === this.pictures.source;
    context.imageSmoothingEnabled = source && this.both ? this.smooth || scale.x < 1 : scale.x < 2;
    context.imageSmoothingQuality = "high";
    for (const [region, bitmap] of picture.see(own, scale.x)) {
      const from = { x: Math.round(shift + x + region.x * scale.x), y: Math.round(y + region.y * scale.y) };
      const to = { x: Math.round(shift + x + (region.x + region.width) * scale.x), y: Math.round(y + (region.y + region.height) * scale.y) };
      context.drawImage(bitmap, from.x, from.y, to.x - from.x, to.y - from.y);
    }
    context.restore();
  }

  #show() {
    const { camera } = this;
    const words = camera.scale >= 1 ? `${count(camera.scale, Number.isInteger(camera.scale) ? 0 : 1)}:1` : percent(camera.scale);
    put(this.#zoom, words);
    for (const stop of STOPS) attribute(this.#pressed.get(`x${stop}`), "aria-pressed", Math.abs(camera.scale - stop) < 0.01);
    attribute(this.#pressed.get("fit"), "aria-pressed", camera.fitted);
    attribute(this.#slider, "aria-valuetext", t("viewer.slider.value", { share: percent(Number(this.#slider.value) / 1000) }));
    this.#canvas.style.touchAction = camera.fitted ? "pan-y" : "none";
    this.#canvas.dataset.scale = camera.scale.toFixed(4);
    const { source, result } = this.pictures;
    this.stage.dataset.busy = Boolean(source?.busy || result?.busy);
    const refusal = source?.refusal ?? result?.refusal;
    this.#note.hidden = !refusal;
    if (refusal) put(this.#note, t(source?.refusal ? "viewer.no_source" : "viewer.no_result"));
  }
}
