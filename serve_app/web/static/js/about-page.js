// The About tab: what answers here, what it takes, and what happens to a photo.

import { element } from "./dom.js";
import { bytes, duration, number, t } from "./language.js";

const KEYS = [
  [["Ctrl", "V"], "paste"],
  [["←", "→"], "split"],
  [["←", "↑", "→", "↓"], "pan"],
  [["+", "−", "0", "1"], "zoom"],
  [["Page ↑", "Page ↓"], "step"],
  [["Delete"], "remove"],
];

/** models and limits are what the service says of itself, or null while it doesn't. */
export function drawAboutPage(page, models, limits) {
  page.replaceChildren(
    element("h1", { class: "page-title" }, t("about.title")),
    element("p", { class: "lead" }, t("about.lead")),
    element("div", { class: "cards" }, ...(models ?? [null]).map(modelCard), limitsCard(limits)),
    element("h2", {}, t("about.privacy")),
    element("p", {}, t("about.privacy.detail")),
    element("h2", {}, t("about.keys")),
    element("dl", { class: "keys" }, ...KEYS.flatMap(([keys, what]) => keyRow(keys, what))),
  );
}

function modelCard(model) {
  const known = (value) => value || t("about.unknown");
  const engine = model && `${model.engine}, ${model.device}, ${model.precision}`;
  return card(t("about.model"), [
    [t("about.name"), known(model?.name)],
    [t("about.version"), known(model?.version)],
    [t("about.engine"), known(engine)],
    [t("about.sha256"), known(model?.sha256), "mono"],
  ]);
}

function limitsCard(limits) {
  const unknown = t("about.unknown");
  const megapixels = limits && number(limits.max_pixels / 1e6, { maximumFractionDigits: 1 });
  return card(t("about.limits"), [
    [t("about.bytes"), limits ? bytes(limits.max_bytes) : unknown],
    [t("about.pixels"), limits ? `${megapixels} MP` : unknown],
    [t("about.edge"), limits ? t("unit.px", { value: number(limits.max_edge) }) : unknown],
    [t("about.time"), limits ? duration(limits.request_timeout_s) : unknown],
    [t("about.formats"), limits ? limits.formats.map(formatName).join(", ") : unknown],
  ]);
}

const formatName = (name) => (/^webp$/i.test(name) ? "WebP" : name.toUpperCase());

function card(title, rows) {
  const pairs = rows.flatMap(([name, value, look = ""]) => [
    element("dt", {}, name),
    element("dd", { class: look }, value),
  ]);
  return element(
    "section",
    { class: "card" },
    element("h2", {}, title),
    element("dl", { class: "facts-list" }, ...pairs),
  );
}

function keyRow(keys, what) {
  const caps = keys.map((key) => element("kbd", {}, key));
  return [element("dt", {}, ...caps), element("dd", {}, t(`about.keys.${what}`))];
}
