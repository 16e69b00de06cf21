// What is said: to everyone for a moment (a toast), or only to screen readers.

import { byId, element } from "./dom.js";

const TOAST_MS = 6000;

export function toast(text) {
  const node = element("p", { class: "toast" }, text);
  byId("toasts").append(node);
  setTimeout(() => node.remove(), TOAST_MS);
}

export function say(text) {
  byId("live").textContent = text;
}
