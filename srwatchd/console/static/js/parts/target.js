// Which folder is dropped into: remembered, and always one that there is.

import { live } from "../live.js";

const STORE = "srwatchd.folder";

/** The folders that people drop into, not those behind the API's upscale. */
export function targets() {
  return (live.now?.folders ?? []).filter((folder) => !folder.upscale);
}

export function chosen() {
  const all = targets();
  let wanted = null;
  try {
    wanted = localStorage.getItem(STORE);
  } catch {
    // Nothing kept: the first folder.
  }
  return all.find((folder) => folder.id === wanted) ?? all[0] ?? null;
}

export function choose(id) {
  try {
    localStorage.setItem(STORE, id);
  } catch {
    // It lasts as long as the page's form.
  }
}
