// A picture in regions at the resolution that is needed: at most a few at a time, those out of sight given up.

import { api, fetched, query } from "../api.js";

export const EDGE = 1024; // of an answer, in pixels
const KEPT = 32; // regions in memory; the largest screen needs a dozen
const AT_ONCE = 2; // two pictures: four connections; the others are for uploads and the live state

/** The regions of a picture that cover a part of it: level 0 has its own pixels, each further one half of them. */
export function covering(width, height, part, scale) {
  const most = Math.max(0, Math.ceil(Math.log2(Math.max(width, height) / EDGE)));
  const level = Math.min(most, Math.max(0, Math.floor(Math.log2(1 / scale) + 0.01)));
  const edge = EDGE * 2 ** level;
  const regions = [];
  for (let y = Math.floor(part.top / edge) * edge; y < part.bottom; y += edge) {
    for (let x = Math.floor(part.left / edge) * edge; x < part.right; x += edge) {
      regions.push({ key: `${level}/${x}/${y}`, level, x, y, width: Math.min(edge, width - x), height: Math.min(edge, height - y) });
    }
  }
  return regions;
}

export class Regions {
  #kept = new Map();
  #asked = new Map();
  #wanted = [];
  #closed = false;

  /** `which` is "source" or "result"; `changed` is called whenever there is more to draw. */
  constructor(job, which, width, height, changed) {
    Object.assign(this, { job, which, width, height, changed, refusal: null });
    this.whole = { key: "whole", level: Infinity, x: 0, y: 0, width, height };
  }

  /** All that there is of `part`, coarse before fine, as [region, bitmap]; asks for what is missing. */
  see(part, scale) {
    const regions = [this.whole, ...(Math.max(this.width, this.height) > EDGE ? covering(this.width, this.height, part, scale) : [])];
    const missing = regions.filter(({ key }) => !this.#kept.has(key));
    this.#want(missing);
    const fine = new Set(regions.map(({ key }) => key));
    const meets = ({ x, y, width, height }) => x < part.right && y < part.bottom && x + width > part.left && y + height > part.top;
    const drawn = [...this.#kept.values()].filter(([region]) => fine.has(region.key) || (missing.length > 0 && meets(region)));
    for (const [region, bitmap] of drawn) {
      this.#kept.delete(region.key); // to the end of the order: it was used just now
      this.#kept.set(region.key, [region, bitmap]);
    }
    return drawn.sort(([a], [b]) => b.level - a.level);
  }

  get busy() {
    return this.#asked.size > 0;
  }

  close() {
    this.#closed = true;
    for (const control of this.#asked.values()) control.abort();
    for (const [, bitmap] of this.#kept.values()) bitmap.close();
    this.#kept.clear();
  }

  #want(missing) {
    this.#wanted = missing;
    const keys = new Set(missing.map(({ key }) => key));
    for (const [key, control] of this.#asked) if (!keys.has(key) && key !== "whole") control.abort();
    this.#pump();
  }

  #pump() {
    if (this.#closed || this.refusal) return;
    for (const region of this.#wanted) {
      if (this.#asked.size >= AT_ONCE) return;
      if (!this.#asked.has(region.key) && !this.#kept.has(region.key)) this.#ask(region);
    }
  }

  async #ask(region) {
    const control = new AbortController();
    this.#asked.set(region.key, control);
    try {
      const { x, y, width, height } = region;
      const place = region === this.whole ? { max: EDGE } : { x, y, width, height, max: EDGE };
      const response = await fetched(api("jobs", this.job, "view", this.which) + query(place), { signal: control.signal, headers: { Accept: "image/*" } });
      const bitmap = await createImageBitmap(await response.blob());
      if (this.#closed) bitmap.close();
      else this.#keep(region, bitmap);
    } catch (error) {
      if (error.name !== "AbortError" && !(error.status === 503 && this.#again(error))) this.refusal = error;
    } finally {
      this.#asked.delete(region.key);
    }
    if (this.#closed) return;
    this.changed();
    this.#pump();
  }

  // The workers are busy with other pages' pictures: a little later, then.
  #again({ retryAfter }) {
    setTimeout(() => !this.#closed && this.changed(), (retryAfter ?? 1) * 1000);
    return true;
  }

  #keep(region, bitmap) {
    this.#kept.set(region.key, [region, bitmap]);
    for (const [key, [, old]] of this.#kept) {
      if (this.#kept.size <= KEPT) break;
      if (key === "whole") continue;
      old.close();
      this.#kept.delete(key);
    }
  }
}
