// Where one looks at a picture and how near. Pure: numbers in, numbers out. All of it in pixels of the result and of the screen.

export const NEAREST = 8; // screen pixels for one of the result, at most
export const STOPS = [1, 2, 4, 8];

export class Camera {
  constructor(width, height) {
    Object.assign(this, { width, height, view: { width: 1, height: 1 }, scale: 1, x: width / 2, y: height / 2, fitted: true });
  }

  get fit() {
    return Math.min(this.view.width / this.width, this.view.height / this.height, NEAREST);
  }

  get least() {
    return Math.min(this.fit, 1);
  }

  /** Where the picture's own left upper corner is on the screen, on whole screen pixels. */
  get origin() {
    return { x: Math.round(this.view.width / 2 - this.x * this.scale), y: Math.round(this.view.height / 2 - this.y * this.scale) };
  }

  resize(width, height) {
    this.view = { width: Math.max(1, width), height: Math.max(1, height) };
    if (this.fitted) this.toFit();
    else this.#settle();
  }

  toFit() {
    this.fitted = true;
    this.scale = this.fit;
    this.x = this.width / 2;
    this.y = this.height / 2;
  }

  /** Comes nearer or goes back; what lies under the screen's point `at` stays there. */
  zoomTo(scale, at = { x: this.view.width / 2, y: this.view.height / 2 }) {
    const wanted = Math.min(NEAREST, Math.max(this.least, scale));
    const offset = { x: at.x - this.view.width / 2, y: at.y - this.view.height / 2 };
    this.x += offset.x / this.scale - offset.x / wanted;
    this.y += offset.y / this.scale - offset.y / wanted;
    this.scale = wanted;
    this.fitted = wanted <= this.least && this.least === this.fit;
    this.#settle();
  }

  /** The next stop in a direction: fit, 1:1, 2:1, 4:1, 8:1. */
  step(direction) {
    const stops = [...new Set([this.fit, ...STOPS])].filter((stop) => stop >= this.least).sort((a, b) => a - b);
    const next = direction > 0 ? stops.find((stop) => stop > this.scale * 1.01) : stops.findLast((stop) => stop < this.scale * 0.99);
    if (next === undefined) return;
    if (next === this.fit) this.toFit();
    else this.zoomTo(next);
  }

  pan(dx, dy) {
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.#settle();
  }

  /** The part of the result that the screen's rectangle shows. */
  seen(left, top, right, bottom) {
    const { x, y } = this.origin;
    const clamp = (value, most) => Math.min(most, Math.max(0, value));
    return {
      left: clamp((left - x) / this.scale, this.width),
      top: clamp((top - y) / this.scale, this.height),
      right: clamp((right - x) / this.scale, this.width),
      bottom: clamp((bottom - y) / this.scale, this.height),
    };
  }

  // A picture smaller than the view stands in its middle; a larger one never leaves a gap.
  #settle() {
    const half = { x: this.view.width / 2 / this.scale, y: this.view.height / 2 / this.scale };
    this.x = half.x * 2 >= this.width ? this.width / 2 : Math.min(this.width - half.x, Math.max(half.x, this.x));
    this.y = half.y * 2 >= this.height ? this.height / 2 : Math.min(this.height - half.y, Math.max(half.y, this.y));
  }
}
