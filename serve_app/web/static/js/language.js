// The page's language: which one it is, words by key, and numbers, sizes and times as it writes them.

import { remember } from "./storage.js";
import { STRINGS } from "./strings.js";

const KEY = "cvunet.language";
const listeners = [];

export const language = () => document.documentElement.lang;

export function t(key, values = {}) {
  const text = STRINGS[language()][key] ?? STRINGS.en[key];
  if (text === undefined) throw new Error(`no words for '${key}'`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

export const has = (key) => key in STRINGS.en;

export function tCount(key, count, values = {}) {
  const form = new Intl.PluralRules(language()).select(count);
  const known = `${key}.${form}` in STRINGS[language()] ? form : "other";
  return t(`${key}.${known}`, { count: number(count), ...values });
}

export const number = (value, options = {}) =>
  new Intl.NumberFormat(language(), options).format(value);

export function bytes(value) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  const power = value < 1 ? 0 : Math.min(3, Math.floor(Math.log10(value) / 3));
  const shown = value / 1000 ** power;
  return number(shown, {
    style: "unit",
    unit: units[power],
    unitDisplay: power ? "short" : "long",
    maximumFractionDigits: shown < 10 ? 1 : 0,
  });
}

export function duration(seconds) {
  if (seconds < 90) return t("time.seconds", { count: number(Math.max(1, Math.round(seconds))) });
  return t("time.minutes", { count: number(Math.round(seconds / 60)) });
}

/** Put the words into every element that names its key: data-t for text, data-t-label for its label. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.matches("button")) node.title = t(node.dataset.tLabel);
  }
}

/** Call `listener` whenever the language changes: what is drawn by a script has to be drawn again. */
export function onLanguage(listener) {
  listeners.push(listener);
}

export function setLanguage(code) {
  document.documentElement.lang = code;
  document.title = t("page.title");
  translate(document);
  for (const listener of listeners) listener();
}

export function startLanguage(button) {
  const name = () => {
    const next = language() === "en" ? "zh-Hans" : "en";
    button.textContent = t("language.other");
    button.setAttribute("aria-label", t("language.label"));
    button.lang = next;
    return next;
  };
  button.addEventListener("click", () => {
    const code = language() === "en" ? "zh-Hans" : "en";
    remember(KEY, code);
    setLanguage(code);
    name();
  });
  setLanguage(language());
  name();
}
