// The options: presets as one click, the rest folded away under 'Advanced'.

import { optionControl } from "./controls.js";
import { byId, element } from "./dom.js";
import { has, onLanguage, t, tCount } from "./language.js";
import { OPTIONS } from "./options.js";

export function startPanel(options) {
  const draw = () => {
    drawPresets(options);
    drawOptions(options);
  };
  options.addEventListener("change", () => {
    const focused = document.activeElement?.id;
    draw();
    // What the user is at was just drawn anew: the keyboard stays where it was.
    if (focused) byId(focused)?.focus({ preventScroll: true });
  });
  byId("reset").addEventListener("click", () => {
    options.reset();
    byId("advanced").querySelector("summary").focus();
  });
  onLanguage(draw);
  draw();
}

function drawPresets(options) {
  const chips = options.presets.map((name) => {
    const input = element("input", {
      type: "radio",
      name: "preset",
      id: `preset-${name}`,
      value: name,
      checked: name === options.preset,
      onchange: () => options.choose(name),
    });
    // A preset that whoever runs the service made is called by its own name.
    const title = has(`preset.${name}`) ? t(`preset.${name}`) : name;
    const about = has(`preset.${name}`) ? t(`preset.${name}.about`) : "";
    return element(
      "label",
      { class: "preset" },
      input,
      element("span", { class: "preset-name" }, title),
      element("span", { class: "preset-about" }, about),
    );
  });
  const legend = element("legend", {}, t("presets.title"));
  byId("presets").replaceChildren(legend, element("div", { class: "preset-list" }, ...chips));
}

function drawOptions(options) {
  const shown = OPTIONS.filter((option) => options.isShown(option));
  const controls = shown.map((option) =>
    optionControl(option, options.get(option.name), options.isChanged(option.name), (value) =>
      options.set(option.name, value),
    ),
  );
  byId("options").replaceChildren(...controls, trimapPlace());
  const count = options.changed.length;
  byId("changed").hidden = byId("reset").hidden = count === 0;
  byId("changed").textContent = tCount("advanced.changed", count);
}

const trimap = element("div", { class: "option", id: "trimap", hidden: true });
const trimapPlace = () => trimap;

/** The trimap belongs to one photo, so it is only there while one is on the stage. */
export function showTrimap(photo, pick, change) {
  trimap.hidden = !photo;
  if (!photo) return;
  const button = photo.trimap
    ? element("button", { class: "small", onclick: () => change(null) }, t("option.trimap.remove"))
    : element("button", { class: "small", onclick: () => pick(change) }, t("option.trimap.choose"));
  trimap.replaceChildren(
    element(
      "div",
      { class: "option-row" },
      element("span", { class: "label" }, photo.trimap?.name ?? t("option.trimap")),
      button,
    ),
    element("p", { class: "about" }, t("option.trimap.about")),
  );
}
