// All jobs, newest first, in pages: searched by name, filtered by what one knows of a picture.

import { get, query } from "../api.js";
import { h, icon, put, refill, renew } from "../dom.js";
import { follow, live } from "../live.js";
import { row } from "../parts/jobcard.js";
import { reason } from "../parts/failure.js";
import { language, t, titleOf } from "../texts.js";

const PAGE = 50;
const FIELDS = ["q", "folder", "outcome", "code", "user", "since", "until"];
const OUTCOMES = ["delivered", "quarantined", "failed", "released", "running"];
const CODES = [
  "not_a_picture", "unsupported_format", "unsupported_content", "incomplete", "empty", "too_large_file", "too_many_pixels",
  "too_large_for_memory", "format_limit", "name_taken", "name_refused", "cannot_encode", "result_not_plausible",
  "writer_never_closed", "attempts_exhausted", "interrupted_too_often", "internal_error",
];

export function history({ query: asked, frame }) {
  const state = { asked, total: null, newest: null };
  const list = h("ol", { class: "jobrows", "aria-label": t("nav.history") });
  const sum = h("p", { class: "soft small", role: "status" });
  const pager = h("nav", { class: "pager row", "aria-label": t("history.pages") });
  const fresh = h("button", { type: "button", class: "fresh", hidden: true, on: { click: () => load() } }, icon("retry"), t("history.fresh"));
  const form = filters(asked, (values) => go({ ...values }));
  const element = h("div", { class: "page" }, h("h1", { tabindex: "-1" }, t("nav.history")), form.element, h("div", { class: "row" }, sum, fresh), list, pager);
  let turn = 0;

  const go = (values) => {
    const address = `#/history${query(values)}`;
    if (location.hash === address) load();
    else location.hash = address;
  };

  async function load() {
    const mine = (turn += 1);
    const values = Object.fromEntries([...FIELDS, "cursor"].map((name) => [name, state.asked.get(name)]));
    if (values.until) values.until = dayAfter(values.until);
    if (values.since) values.since = new Date(`${values.since}T00:00:00`).toISOString();
    element.setAttribute("aria-busy", "true");
    try {
      const answer = await get(`/jobs${query({ ...values, limit: PAGE })}`);
      if (mine !== turn) return;
      state.newest = live.now?.recent[0]?.job ?? null;
      fresh.hidden = true;
      show(answer);
    } catch (refusal) {
      if (mine !== turn) return;
      refill(list, h("li", { class: "notice" }, icon("alert"), reason(refusal)));
      refill(pager);
      put(sum, "");
    }
    element.removeAttribute("aria-busy");
  }

  function show({ jobs, next, total, indexed }) {
    const words = t("history.total", { n: total });
    put(sum, indexed === false ? `${words} · ${t("history.indexing")}` : words);
    refill(list, jobs.length > 0 ? jobs.map(row) : h("li", { class: "empty" }, icon("search"), filtered() ? t("history.no_match") : t("home.nothing_yet")));
    const first = !state.asked.get("cursor");
    const here = Object.fromEntries(FIELDS.map((name) => [name, state.asked.get(name)]));
    refill(
      pager,
      !first && h("a", { class: "button", href: `#/history${query(here)}`, data: { key: "newest" } }, icon("left"), t("history.newest")),
      next && h("a", { class: "button", href: `#/history${query({ ...here, cursor: next })}`, data: { key: "older" } }, t("history.older"), icon("right")),
    );
  }

  const filtered = () => FIELDS.some((name) => state.asked.get(name));
  const stop = follow(({ now }) => {
    form.show(now?.folders ?? []);
    const newest = now?.recent[0]?.job ?? null;
    state.newest ??= newest;
    if (newest === state.newest) return;
    // The first page keeps itself up to date; nobody's reading place on another one is moved.
    if (state.asked.get("cursor") || list.contains(document.activeElement) || scrollY > 200) fresh.hidden = false;
    else load();
  });
  load();
  return {
    element,
    title: t("nav.history"),
    leave: () => {
      stop();
      form.leave();
    },
    turn: ({ query: wanted }) => {
      state.asked = wanted;
      form.set(wanted);
      load().then(() => {
        scrollTo(0, 0);
        frame.say(sum.textContent);
      });
    },
  };
}

function dayAfter(day) {
  const end = new Date(`${day}T00:00:00`);
  end.setDate(end.getDate() + 1);
  return end.toISOString();
}

function filters(asked, change) {
  const fields = {};
  const labelled = (name, control) => {
    fields[name] = control;
    return h("label", { class: `field filter-${name}` }, h("span", {}, t(`history.${name}`)), control);
  };
  const options = (values, any) => [h("option", { value: "" }, any), ...values.map(([value, text]) => h("option", { value }, text))];
  const select = (values) => h("select", {}, options(values, t("history.any")));
  const more = h("details", { class: "more-filters", open: ["code", "user", "since", "until"].some((name) => asked.get(name)) });
  more.append(
    h("summary", {}, t("history.more")),
    h(
      "div",
      { class: "row" },
      labelled("code", select(CODES.map((code) => [code, titleOf(code)]))),
      labelled("user", h("input", { type: "text", autocomplete: "off", spellcheck: "false" })),
      labelled("since", h("input", { type: "date" })),
      labelled("until", h("input", { type: "date" })),
    ),
  );
  const element = h(
    "form",
    { class: "filters", role: "search" },
    labelled("q", h("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: t("history.q.example") })),
    labelled("folder", select([])),
    labelled("outcome", select(OUTCOMES.map((one) => [one, t(`outcome.${one}`)]))),
    more,
  );
  const values = () => Object.fromEntries(Object.entries(fields).map(([name, control]) => [name, control.value.trim()]));
  let typing = null;
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(typing);
    change(values());
  });
  element.addEventListener("input", (event) => {
    clearTimeout(typing);
    const typed = event.target === fields.q || event.target === fields.user;
    typing = setTimeout(() => change(values()), typed ? 350 : 0);
  });
  const set = (wanted) => {
    for (const [name, control] of Object.entries(fields)) {
      const value = wanted.get(name) ?? "";
      if (control.value.trim() !== value) control.value = value;
    }
  };
  const show = (folders) => {
    const wanted = fields.folder.value || asked.get("folder") || "";
    renew(fields.folder, [folders.map(({ id }) => id), language], () => options(folders.map(({ id }) => [id, id]), t("history.any")));
    if (fields.folder.value !== wanted) fields.folder.value = wanted;
  };
  set(asked);
  const leave = () => clearTimeout(typing); // nobody who has gone on is called back by what he typed
  return { element, set, show, leave };
}

