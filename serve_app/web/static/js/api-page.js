// The API tab: the very call just made, and the one that gives the file as it is seen.

import { apiKey, endpoint } from "./api.js";
import { cutoutFields } from "./cutout.js";
import { element } from "./dom.js";
import { t } from "./language.js";
import { savedName } from "./names.js";
import { curl, pythonCode } from "./snippets.js";

const EXAMPLE = { name: "photo.jpg" };
const COPIED_MS = 2000;

/** Draw the tab; photo is the last one that was cut out, or undefined. */
export function drawApiPage(page, photo, options, save) {
  const file = photo?.file ?? EXAMPLE;
  const sentFields = photo?.result.fields ?? cutoutFields(options, {});
  const sent = call(file, sentFields, savedName(file.name, "png"));
  const seenFields = seen(options, photo, save.fields());
  const output = savedName(file.name, save.format);
  const isSame = String(seenFields.toSorted()) === String(sentFields.toSorted());
  page.replaceChildren(
    element("h1", { class: "page-title" }, t("api.title")),
    element("p", { class: "lead" }, t(photo ? "api.lead" : "api.none")),
    ...block("sent", sent),
    ...(photo ? answer(photo.result) : []),
    ...(isSame ? [] : block("seen", call(file, seenFields, output))),
    element(
      "p",
      { class: "row links" },
      element("a", { href: endpoint("docs") }, t("api.reference")),
      element("a", { href: endpoint("openapi.json") }, t("api.openapi")),
    ),
  );
}

const call = (file, fields, output) => ({
  url: endpoint("v1/matting"),
  file,
  fields,
  output,
  hasKey: apiKey() !== "",
});

/** The cutout's call, with what the page adds by itself. */
function seen(options, photo, saveFields) {
  const isOwn = ([name]) => name !== "format" && name !== "output";
  const hasBackground = saveFields.some(([name]) => name.startsWith("background"));
  const output = ["output", hasBackground ? "composite" : "cutout"];
  return [...cutoutFields(options, photo ?? {}).filter(isOwn), output, ...saveFields];
}

function block(kind, request) {
  const codes = [
    ["curl", curl(request)],
    ["Python", pythonCode(request)],
  ];
  return [
    element("h2", {}, t(`api.${kind}`)),
    element("p", { class: "about" }, t(`api.${kind}.about`)),
    ...codes.map(([language, code]) => codeBlock(kind, language, code)),
  ];
}

function codeBlock(kind, language, code) {
  const button = element("button", { class: "small" }, t("api.copy"));
  button.setAttribute("aria-label", `${t("api.copy")}: ${language}`);
  button.addEventListener("click", async () => {
    await copyText(code, figure.querySelector("code"));
    button.textContent = t("api.copied");
    setTimeout(() => (button.textContent = t("api.copy")), COPIED_MS);
  });
  const text = element("code", { id: `${kind}-${language.toLowerCase()}` }, code);
  const figure = element(
    "figure",
    { class: "code" },
    element("figcaption", {}, language, button),
    element("pre", { tabindex: "0" }, text),
  );
  return figure;
}

/** Without https there is no clipboard to write to: then the text is selected, for Ctrl+C. */
async function copyText(text, node) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(node);
  }
}

function answer(result) {
  const rows = result.headers.flatMap(([name, value]) => [
    element("dt", {}, name),
    element("dd", {}, value),
  ]);
  return [
    element(
      "details",
      { class: "answer" },
      element("summary", {}, t("api.answer")),
      element("dl", { class: "facts-list mono" }, ...rows),
    ),
  ];
}
