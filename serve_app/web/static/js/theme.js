// Light or dark: the system's until the user says otherwise. early.js has set the first one.

import { recall, remember } from "./storage.js";

const KEY = "cvunet.theme";

export function startTheme(button) {
  const root = document.documentElement;
  const show = (theme) => {
    root.dataset.theme = theme;
    button.setAttribute("aria-pressed", String(theme === "dark"));
  };
  button.addEventListener("click", () => {
    show(root.dataset.theme === "dark" ? "light" : "dark");
    remember(KEY, root.dataset.theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
    if (!recall(KEY)) show(matches ? "dark" : "light");
  });
  show(root.dataset.theme);
}
