// Who are you?

import { h, icon } from "../dom.js";
import { enter } from "../session.js";
import { t } from "../texts.js";
import { sentence } from "../parts/failure.js";

export function login() {
  const name = h("input", { type: "text", name: "name", autocomplete: "username", autocapitalize: "none", spellcheck: "false", required: true });
  const password = h("input", { type: "password", name: "password", autocomplete: "current-password", required: true });
  const said = h("p", { class: "bad", role: "alert" });
  const button = h("button", { type: "submit", class: "main" }, t("login.enter"));
  const form = h(
    "form",
    { class: "login" },
    icon("mark"),
    h("h1", { tabindex: "-1" }, t("login.title")),
    h("label", { class: "field" }, h("span", {}, t("login.name")), name),
    h("label", { class: "field" }, h("span", {}, t("login.password")), password),
    said,
    button,
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "";
    try {
      await enter(name.value, password.value);
    } catch (refusal) {
      said.textContent = refusal.status === 401 || refusal.status === 403 ? t("login.wrong") : refusal.status === 429 ? t("login.slow", { n: refusal.retryAfter ?? 60 }) : sentence(refusal);
      password.value = "";
      password.focus();
    }
    button.disabled = false;
  });
  return { element: h("div", { class: "page login-page" }, form), title: t("login.title") };
}
