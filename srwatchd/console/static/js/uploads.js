// The uploads of this page. They live here, not in a view, so that they go on whatever is looked at.

import { api, refusalOf } from "./api.js";

export const AT_ONCE = 4;
const PATIENCE = 5; // how often a server that is busy is asked again by itself

/** One file on its way: waiting, sending, done, failed or cancelled. */
class Upload {
  constructor(id, folder, path, file) {
    Object.assign(this, { id, folder, path, file, state: "waiting", sent: 0, size: file.size, speed: 0, refusal: null });
    Object.assign(this, { request: null, patience: PATIENCE, seen: 0, arrived: null });
  }
}

class Uploads extends EventTarget {
  #all = new Map();
  #waiting = [];
  #sending = new Set();
  #next = 1;
  #told = null;
  #counts = { waiting: 0, sending: 0, done: 0, failed: 0, cancelled: 0 };
  #bytes = { sent: 0, total: 0 };
  left = 0; // files of dropped folders that no inbox takes: hidden ones and what systems leave behind

  /** Queues files: `[{path, file}]`. */
  add(folder, files) {
    for (const { path, file } of files) {
      const upload = new Upload(this.#next++, folder, path, file);
      this.#all.set(upload.id, upload);
      this.#waiting.push(upload);
      this.#counts.waiting += 1;
      this.#bytes.total += upload.size;
    }
    this.#pump();
    this.#tell();
  }

  get counts() {
    return { ...this.#counts, all: this.#all.size };
  }

  get bytes() {
    return this.#bytes;
  }

  get busy() {
    return this.#counts.waiting + this.#counts.sending > 0;
  }

  get speed() {
    let speed = 0;
    for (const upload of this.#sending) speed += upload.speed;
    return speed;
  }

  /** What a list shows: all on their way and failed, then the next ones, at most `limit` in all. */
  shown(limit = 40) {
    const failed = [];
    if (this.#counts.failed > 0) {
      for (const upload of this.#all.values()) {
        if (upload.state === "failed" && failed.push(upload) >= limit) break;
      }
    }
    const list = [...this.#sending, ...failed];
    for (const upload of this.#waiting) {
      if (list.length >= limit) break;
      if (upload.state === "waiting") list.push(upload);
    }
    return list;
  }

  cancel(upload) {
    if (upload.state === "waiting") this.#set(upload, "cancelled");
    else if (upload.state === "sending") upload.request.abort();
    this.#tell();
  }

  cancelAll() {
    for (const upload of this.#waiting) if (upload.state === "waiting") this.#set(upload, "cancelled");
    this.#waiting = [];
    for (const upload of [...this.#sending]) upload.request.abort();
    this.#tell();
  }

  retry(upload) {
    if (upload.state !== "failed") return;
    upload.patience = PATIENCE;
    this.#set(upload, "waiting");
    this.#waiting.unshift(upload);
    this.#pump();
    this.#tell();
  }

  retryAll() {
    for (const upload of [...this.#all.values()]) this.retry(upload);
  }

  /** Forgets what has ended, whichever way. */
  clear() {
    for (const [id, upload] of this.#all) {
      if (upload.state === "waiting" || upload.state === "sending") continue;
      this.#counts[upload.state] -= 1;
      this.#bytes.total -= upload.size;
      this.#bytes.sent -= upload.sent;
      this.#all.delete(id);
    }
    this.left = 0;
    this.#tell();
  }

  #set(upload, state) {
    this.#counts[upload.state] -= 1;
    this.#counts[state] += 1;
    upload.state = state;
    if (state === "sending") this.#sending.add(upload);
    else this.#sending.delete(upload);
    const sent = state === "done" ? upload.size : state === "sending" ? upload.sent : 0;
    this.#progress(upload, sent);
    if (state === "cancelled") {
      this.#bytes.total -= upload.size;
      upload.size = 0;
    }
  }

  #progress(upload, sent) {
    this.#bytes.sent += sent - upload.sent;
    upload.sent = sent;
  }

  #pump() {
    while (this.#sending.size < AT_ONCE && this.#waiting.length > 0) {
      const upload = this.#waiting.shift();
      if (upload.state === "waiting") this.#send(upload);
    }
  }

  #send(upload) {
    const request = new XMLHttpRequest();
    upload.request = request;
    upload.refusal = null;
    upload.speed = 0;
    upload.seen = performance.now();
    this.#set(upload, "sending");
    request.open("PUT", api("folders", upload.folder, "files", upload.path));
    request.setRequestHeader("X-Srwatchd", "1");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.addEventListener("progress", (event) => this.#advance(upload, event.loaded));
    request.addEventListener("load", () => this.#answered(upload, request));
    request.addEventListener("error", () => this.#refused(upload, refusalOf(0, "")));
    request.addEventListener("abort", () => this.#ended(upload, "cancelled"));
    request.send(upload.file);
  }

  #advance(upload, loaded) {
    const now = performance.now();
    const seconds = (now - upload.seen) / 1000;
    if (seconds < 0.25 && loaded < upload.size) return;
    const current = (loaded - upload.sent) / Math.max(seconds, 0.001);
    upload.speed = upload.speed === 0 ? current : 0.7 * upload.speed + 0.3 * current;
    upload.seen = now;
    this.#progress(upload, loaded);
    this.#tell();
  }

  #answered(upload, request) {
    if (request.status === 201 || request.status === 200) {
      try {
        upload.arrived = JSON.parse(request.responseText).name;
      } catch {
        upload.arrived = upload.path;
      }
      this.#ended(upload, "done");
      return;
    }
    const wait = Number(request.getResponseHeader("Retry-After")) || 0;
    const refusal = refusalOf(request.status, request.responseText, wait);
    if (request.status === 503 && wait > 0 && upload.patience > 0) {
      upload.patience -= 1;
      this.#set(upload, "waiting");
      setTimeout(() => {
        this.#waiting.unshift(upload);
        this.#pump();
      }, wait * 1000);
      this.#pump();
      this.#tell();
    } else this.#refused(upload, refusal);
  }

  #refused(upload, refusal) {
    upload.refusal = refusal;
    this.#ended(upload, "failed");
  }

  #ended(upload, state) {
    upload.request = null;
    if (state !== "failed") upload.file = null;
    this.#set(upload, state);
    this.#pump();
    this.#tell();
    if (!this.busy) this.dispatchEvent(new Event("idle"));
  }

  // Four times a second is enough for an eye, and little for 500 uploads.
  #tell() {
    this.#told ??= setTimeout(() => {
      this.#told = null;
      this.dispatchEvent(new Event("change"));
    }, 120);
  }
}

export const uploads = new Uploads();

addEventListener("beforeunload", (event) => {
  if (uploads.busy) event.preventDefault();
});
