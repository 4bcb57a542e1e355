// While something is dragged over the window every folder is a target of its own, in whatever view one is.

import { h, icon, renew } from "../dom.js";
import { filesOf } from "../dropped.js";
import { shown } from "../names.js";
import { operator } from "../session.js";
import { language, t } from "../texts.js";
import { uploads } from "../uploads.js";
import { choose, targets } from "./target.js";

export class DropLayer {
  #list = h("ul", { class: "targets" });
  #depth = 0;
  #listeners = {
    dragenter: (event) => this.#enter(event),
    dragleave: () => this.#leave(),
    dragover: (event) => this.#over(event),
    drop: (event) => this.#drop(event),
    keydown: (event) => event.key === "Escape" && this.#close(),
  };

  constructor(session, say) {
    this.say = say;
    this.element = h("div", { class: "droplayer", hidden: true }, h("p", { class: "droplayer-title" }, t("drop.over")), this.#list);
    for (const [name, listener] of Object.entries(this.#listeners)) addEventListener(name, listener);
  }

  leave() {
    for (const [name, listener] of Object.entries(this.#listeners)) removeEventListener(name, listener);
  }

  #carriesFiles(event) {
    return [...(event.dataTransfer?.types ?? [])].includes("Files");
  }

  #enter(event) {
    if (!this.#carriesFiles(event)) return;
    event.preventDefault();
    this.#depth += 1;
    if (!operator()) return;
    const folders = targets();
    renew(this.#list, [folders.map(({ id, model, scale, paused, hold }) => [id, model, scale, paused, hold?.code]), language], () => folders.map(target));
    this.element.hidden = folders.length === 0;
  }

  #leave() {
    this.#depth = Math.max(0, this.#depth - 1);
    if (this.#depth === 0) this.#close();
  }

  #close() {
    this.#depth = 0;
    this.element.hidden = true;
  }

  #over(event) {
    if (!this.#carriesFiles(event)) return;
    event.preventDefault();
    const over = event.target.closest?.("[data-folder]");
    event.dataTransfer.dropEffect = over && operator() ? "copy" : "none";
    for (const item of this.#list.children) item.classList.toggle("over", item === over);
  }

  async #drop(event) {
    if (!this.#carriesFiles(event)) return;
    event.preventDefault();
    const folder = event.target.closest?.("[data-folder]")?.dataset.folder;
    this.#close();
    if (!folder || !operator()) return;
    choose(folder);
    await take(folder, filesOf(event.dataTransfer), this.say);
  }
}

/** Queues what was found, and says how much it is. */
export async function take(folder, finding, say) {
  const { files, left, unread } = await finding;
  uploads.left += left + unread;
  uploads.add(folder, files);
  say(t("drop.taken", { n: files.length, folder }));
}

function target(folder) {
  const state = folder.hold ? t("folder.state.held") : folder.paused ? t("folder.paused") : null;
  return h(
    "li",
    { data: { folder: folder.id } },
    icon("drop"),
    h("strong", {}, shown(folder.id)),
    h("span", { class: "soft" }, t("folder.model", { model: folder.model, scale: folder.scale ?? "?" })),
    state && h("span", { class: "held small" }, state),
  );
}
