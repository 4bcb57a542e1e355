// Where pictures come in without dragging: a folder is chosen, then files or a whole folder.

import { h, icon, renew } from "../dom.js";
import { filesOfInput } from "../dropped.js";
import { size } from "../figures.js";
import { shown } from "../names.js";
import { operator } from "../session.js";
import { language, t } from "../texts.js";
import { take } from "./droplayer.js";
import { choose, chosen, targets } from "./target.js";

export function dropZone(say) {
  const choices = h("fieldset", { class: "choices" });
  const files = h("input", { type: "file", multiple: true, class: "unseen-text", tabindex: "-1", "aria-hidden": "true", id: "files" });
  const folder = h("input", { type: "file", webkitdirectory: true, class: "unseen-text", tabindex: "-1", "aria-hidden": "true", id: "folder" });
  for (const input of [files, folder]) {
    input.addEventListener("change", () => {
      const target = chosen();
      if (target && input.files.length > 0) take(target.id, filesOfInput(input), say);
      input.value = "";
    });
  }
  const pick = h("button", { type: "button", class: "main", on: { click: () => files.click() } }, icon("file"), t("drop.files"));
  const pickFolder = h("button", { type: "button", on: { click: () => folder.click() } }, icon("folders"), t("drop.folder"));
  const limit = h("p", { class: "faint small" });
  const invitation = h("div", { class: "invitation" }, icon("drop"), h("p", {}, h("strong", {}, t("drop.invitation")), h("span", { class: "soft" }, t("drop.invitation.more"))));
  const element = operator()
    ? h("div", { class: "dropzone" }, choices, invitation, h("div", { class: "row" }, pick, pickFolder), limit, files, folder)
    : h("p", { class: "soft" }, t("drop.viewer"));
  const show = () => {
    if (!operator()) return;
    const all = targets();
    const current = chosen();
    for (const button of [pick, pickFolder]) button.disabled = current === null;
    files.accept = (current?.formats ?? []).map((ending) => `.${ending}`).join(",");
    renew(choices, [all.map(({ id, model, scale, paused, hold, state }) => [id, model, scale, paused, hold?.code, state]), current?.id, language], () => [
      h("legend", { class: "label" }, t("drop.into")),
      all.map((one) => choice(one, one.id === current?.id, show)),
      all.length === 0 && h("p", { class: "soft" }, t("drop.no_folder")),
    ]);
    limit.textContent = current ? t("drop.limit", { size: size(current.max_size) }) : "";
  };
  return { element, show };
}

function choice(folder, checked, again) {
  const input = h("input", { type: "radio", name: "target", value: folder.id, checked, data: { key: `target-${folder.id}` } });
  input.addEventListener("change", () => {
    choose(folder.id);
    again();
  });
  const state = folder.hold ? t("folder.state.held") : folder.paused ? t("folder.paused") : null;
  const name = h("strong", { class: "clip", title: folder.id }, shown(folder.id));
  const words = h("span", { class: "choice-words" }, name, h("span", { class: "soft small clip" }, folder.model), state && h("span", { class: "held small" }, state));
  const scale = h("span", { class: "scale", title: t("model.scale") }, folder.scale ? `×${folder.scale}` : "");
  return h("label", { class: "choice" }, input, words, scale);
}
