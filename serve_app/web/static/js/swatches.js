// The row of backgrounds to choose from.

import { toast } from "./announce.js";
import { SWATCHES } from "./background.js";
import { byId, element, icon } from "./dom.js";
import { onLanguage, t } from "./language.js";

export function startSwatches(background, pickFile) {
  const input = element("input", {
    type: "color",
    class: "unseen",
    tabindex: "-1",
    "aria-hidden": "true",
    value: "#e8572b",
    oninput: ({ target }) => background.setColor(target.value),
  });

  const takePhoto = async (file) => {
    await background.setPhoto(file).catch(() => {
      toast(t("background.unreadable", { name: file.name }));
      draw();
    });
  };
  const choosePhoto = () => {
    draw(); // the choice only moves once there is a photo
    pickFile(takePhoto);
  };
  const chooseColor = () => {
    background.setColor(input.value);
    // Some browsers open the picker only in answer to a click of their own element.
    if (input.showPicker) input.showPicker();
    else input.click();
  };

  const entries = () => [
    ["transparent", "checker", () => background.setTransparent()],
    ...SWATCHES.map(([name, color]) => [name, color, () => background.setColor(color)]),
    ["color", "rainbow", chooseColor],
    ["blur", "blurry", () => background.setBlur()],
    ["photo", "picture", choosePhoto],
  ];

  const draw = () => {
    const focused = document.activeElement?.id;
    const chosen = chosenName(background);
    const labels = entries().map(([name, look, choose]) => swatch(name, look, name === chosen, choose));
    byId("swatches").replaceChildren(...labels, input);
    if (focused?.startsWith("swatch-")) byId(focused)?.focus();
  };

  function swatch(name, look, isChosen, choose) {
    const chip = element("span", { class: `swatch ${look.startsWith("#") ? "" : look}` });
    if (look.startsWith("#")) chip.style.backgroundColor = look;
    if (name === "color" && isChosen) chip.style.background = background.color;
    if (name === "photo" && background.photo) {
      chip.style.backgroundImage = `url("${background.photo.url}")`;
    } else if (name === "photo") chip.append(icon("photo"));
    const radio = element("input", {
      type: "radio",
      name: "background",
      id: `swatch-${name}`,
      value: name,
      checked: isChosen,
      onchange: choose,
      // A second click on what is chosen: another colour, another photo.
      onclick: () => isChosen && (name === "photo" || name === "color") && choose(),
    });
    const words = element("span", { class: "unseen" }, t(`background.${name}`));
    return element("label", { class: "swatch-label", title: t(`background.${name}`) }, radio, chip, words);
  }

  background.addEventListener("change", draw);
  onLanguage(draw);
  draw();
}

function chosenName({ kind, color }) {
  if (kind !== "color") return kind;
  return SWATCHES.find(([, each]) => each === color)?.[0] ?? "color";
}
