// The controls of one option: a slider, a switch, a choice or a text, each with its meaning.

import { element } from "./dom.js";
import { number, t } from "./language.js";
import { parseMargin } from "./crop.js";

/** A labelled control; change(value) is called with what the user chose. */
export function optionControl(option, value, isChanged, change) {
  const id = `option-${option.name}`;
  const about = element("p", { class: "about", id: `${id}-about` }, t(`option.${option.name}.about`));
  const input = MAKERS[option.kind](option, value, id, change);
  const label = element("label", { for: id }, t(`option.${option.name}`));
  const output = option.kind === "range" ? shownValue(option, value, id) : null;
  const row = element("div", { class: "option-row" }, label, output, option.kind === "range" ? null : input);
  const wide = option.kind === "range" ? input : null;
  const changed = isChanged ? "is-changed" : "";
  return element("div", { class: `option ${option.kind} ${changed}` }, row, wide, about);
}

/** How far a slider is filled, for the style: Chromium and WebKit have no element for it. */
export function fillRange(input) {
  const part = (input.value - input.min) / (input.max - input.min);
  input.style.setProperty("--fill", `${part * 100}%`);
}

const MAKERS = { range, switch: toggle, choice, text };

function range({ min, max, step, unit }, value, id, change) {
  const attributes = { type: "range", id, min, max, step, value, "aria-describedby": `${id}-about` };
  const input = element("input", attributes);
  input.addEventListener("input", () => {
    fillRange(input);
    const text = withUnit(Number(input.value), unit);
    input.setAttribute("aria-valuetext", text);
    document.getElementById(`${id}-value`).textContent = text;
  });
  // "change" comes when the slider is let go; a key or a drag in between doesn't send a photo.
  input.addEventListener("change", () => change(Number(input.value)));
  input.setAttribute("aria-valuetext", withUnit(value, unit));
  fillRange(input);
  return input;
}

function shownValue({ unit }, value, id) {
  return element("output", { id: `${id}-value`, for: id }, withUnit(value, unit));
}

const withUnit = (value, unit) =>
  unit ? t(`unit.${unit}`, { value: number(value) }) : number(value);

function toggle({ on, off }, value, id, change) {
  return element("input", {
    type: "checkbox",
    role: "switch",
    id,
    checked: value === on,
    "aria-describedby": `${id}-about`,
    onchange: ({ target }) => change(target.checked ? on : off),
  });
}

function choice({ name, values }, value, id, change) {
  // A preset may name a size that is not in the list.
  const all = values.includes(value) ? values : [value, ...values];
  const text = (each) => {
    const megapixels = each.match(/^(.+)mp$/);
    return megapixels
      ? t(`option.${name}.mp`, { count: number(Number(megapixels[1])) })
      : t(`option.${name}.${each}`);
  };
  const options = all.map((each) =>
    element("option", { value: each, selected: each === value }, text(each)),
  );
  const onchange = ({ target }) => change(target.value);
  return element("select", { id, onchange, "aria-describedby": `${id}-about` }, ...options);
}

function text({ name }, value, id, change) {
  const onchange = ({ target }) => {
    const isValid = parseMargin(target.value) !== null;
    target.setAttribute("aria-invalid", String(!isValid));
    target.setCustomValidity(isValid ? "" : t(`option.${name}.invalid`, { value: target.value }));
    if (isValid) change(target.value.trim());
    else target.reportValidity();
  };
  return element("input", { type: "text", id, value, onchange, "aria-describedby": `${id}-about` });
}
