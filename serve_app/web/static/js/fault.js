// A failure: what went wrong, in the server's own words, and what to do about it.

import { element, icon } from "./dom.js";
import { has, t } from "./language.js";

export const faultTitle = ({ code }) => t(has(`error.${code}`) ? `error.${code}` : "error.other");

export function showFault(box, photo, retry) {
  const { error, state } = photo;
  box.hidden = state !== "failed";
  if (box.hidden) return;
  const hint = has(`hint.${error.code}`) ? t(`hint.${error.code}`) : null;
  box.replaceChildren(
    icon("warn"),
    element("h2", {}, faultTitle(error)),
    // The server writes English whatever the page speaks.
    element("p", { class: "detail", lang: "en" }, error.detail),
    ...(hint ? [element("p", {}, hint)] : []),
    element("button", { class: "small", onclick: () => retry(photo) }, t("error.retry")),
  );
}
