// The start: language, session, frame, and which view stands in it.

import { onLoginNeeded } from "./api.js";
import { h, put } from "./dom.js";
import * as live from "./live.js";
import { Frame } from "./frame.js";
import { session, refresh } from "./session.js";
import { language, preferred, speak, t } from "./texts.js";
import { folders } from "./views/folders.js";
import { history } from "./views/history.js";
import { home } from "./views/home.js";
import { job } from "./views/job.js";
import { ledger } from "./views/ledger.js";
import { login } from "./views/login.js";
import { models } from "./views/models.js";

const VIEWS = { "": home, history, jobs: job, folders, models, ledger };

let frame = null;
let view = null;
let shownPath = null;

/** The address's parts: `#/jobs/ID?x=1` is `{name: "jobs", rest: ["ID"], query}`. */
function route() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, ...rest] = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  return { name, rest, query: new URLSearchParams(search) };
}

function show({ focus = true } = {}) {
  const needed = session.loginNeeded && session.user === null;
  const where = route();
  const path = needed ? "login" : [where.name, ...where.rest].join("/");
  if (!needed && view?.turn && path === shownPath) {
    view.turn(where); // the same view with another page or filter: it changes what differs
    return;
  }
  view?.leave?.();
  shownPath = path;
  const make = needed ? login : VIEWS[where.name];
  view = make === undefined ? nowhere() : make({ ...where, frame, again: () => show({ focus: false }) });
  frame.place(view.element, needed ? "login" : where.name);
  document.title = `${view.title} · srwatchd`;
  scrollTo(0, 0);
  if (focus) frame.focusHeading();
}

function nowhere() {
  const element = h("div", { class: "page" }, h("h1", { tabindex: "-1" }, t("nowhere.title")));
  element.append(h("p", {}, h("a", { href: "#/" }, t("nowhere.home"))));
  return { element, title: t("nowhere.title") };
}

/** Everything anew: another language, another user. Uploads go on: they are not part of what is drawn. */
async function rebuild({ focus = true } = {}) {
  view?.leave?.();
  view = null;
  frame?.leave();
  const wanted = session.loginNeeded && session.user === null;
  if (wanted) live.stop();
  else live.start();
  frame = new Frame({
    session,
    onLanguage: async (chosen) => {
      await speak(chosen, { remember: true });
      await rebuild({ focus: false });
      document.getElementById("language")?.focus();
    },
    onChange: () => rebuild(),
  });
  document.body.replaceChildren(frame.element);
  show({ focus });
}

async function begin() {
  await speak(preferred());
  try {
    await refresh();
  } catch (error) {
    failed(error);
    return;
  }
  onLoginNeeded(async () => {
    if (session.user === null && session.loginNeeded) return;
    session.user = null;
    session.loginNeeded = true;
    await rebuild();
  });
  addEventListener("hashchange", () => show());
  addEventListener("srwatchd:session", () => rebuild());
  await rebuild({ focus: false });
}

function failed(error) {
  const again = h("button", { type: "button", on: { click: () => location.reload() } }, t("action.again"));
  const message = h("p", {}, "");
  put(message, t("daemon.unreachable"));
  document.body.replaceChildren(h("main", { class: "page" }, h("h1", {}, "srwatchd"), message, h("p", { class: "faint" }, error.code ?? ""), again));
  document.documentElement.lang = language;
}

begin();
