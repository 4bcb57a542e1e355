// The present moment, asked for once a second while somebody looks, every 15 s while not; nothing is sent when nothing changed.

import { fetched } from "./api.js";

const VISIBLE = 1000;
const HIDDEN = 15000;

let timer = null;
let tag = null;
let asking = false;
let stopped = true;
const listeners = new Set();

export const live = { now: null, reachable: true, refusal: null };

function tell() {
  for (const listener of listeners) listener(live);
}

async function ask() {
  if (asking || stopped) return;
  asking = true;
  clearTimeout(timer);
  const before = live.reachable;
  try {
    const limit = AbortSignal.timeout(20000);
    const response = await fetched("/live", { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store", signal: limit });
    live.reachable = true;
    live.refusal = null;
    if (response.status !== 304) {
      tag = response.headers.get("ETag");
      live.now = await response.json();
      tell();
    } else {
      await response.arrayBuffer(); // empty; read, so that the connection is free for the next one
      if (!before) tell();
    }
  } catch (error) {
    live.reachable = error.status > 0 && error.status < 500;
    live.refusal = error;
    if (before || live.reachable) tell();
  } finally {
    asking = false;
    if (!stopped) timer = setTimeout(ask, document.hidden ? HIDDEN : live.reachable ? VISIBLE : 3000);
  }
}

export function start() {
  if (!stopped) return;
  stopped = false;
  ask();
}

export function stop() {
  stopped = true;
  clearTimeout(timer);
}

/** Ask at once, for what the user has just done. */
export function soon() {
  clearTimeout(timer);
  ask();
}

/** Calls `listener` now, if there is something, and at every change. Gives the function that ends it. */
export function follow(listener) {
  listeners.add(listener);
  if (live.now || live.refusal) listener(live);
  return () => listeners.delete(listener);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !stopped) soon();
});
