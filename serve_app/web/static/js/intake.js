// How photos come in: picked, dropped (folders too), or pasted.

import { toast } from "./announce.js";
import { byId } from "./dom.js";
import { t, tCount } from "./language.js";

const PICTURE_ENDING = /\.(jpe?g|jfif|png|webp|bmp|tiff?|gif|avif|heic|heif)$/i;

/** add(files) is called with what came in. */
export function startIntake(add) {
  const take = (files) => {
    const pictures = files.filter(mayBePicture);
    const skipped = files.filter((file) => !mayBePicture(file) && !isHidden(file.name)).length;
    if (pictures.length) add(pictures.sort(byName));
    if (skipped && pictures.length) toast(tCount("toast.skipped", skipped));
    if (!pictures.length) toast(t("toast.nothing"));
  };
  startPicking(take);
  startDropping(take);
  startPasting(take);
  startSample(take);
}

/** Only what is surely no picture is left out: the service judges by content, not by name. */
function mayBePicture(file) {
  if (isHidden(file.name)) return false;
  if (PICTURE_ENDING.test(file.name)) return true;
  return file.type === "" ? !/\.\w+$/.test(file.name) : file.type.startsWith("image/");
}

const isHidden = (name) => name.startsWith(".") || name === "Thumbs.db" || name === "desktop.ini";

const byName = (a, b) =>
  (a.webkitRelativePath || a.name).localeCompare(b.webkitRelativePath || b.name, undefined, {
    numeric: true,
  });

function startPicking(take) {
  const inputs = { pick: byId("file-input"), "pick-folder": byId("folder-input") };
  for (const [action, input] of Object.entries(inputs)) {
    for (const button of document.querySelectorAll(`[data-action="${action}"]`)) {
      button.addEventListener("click", () => input.click());
    }
    input.addEventListener("change", () => {
      const files = [...input.files];
      input.value = ""; // so that the same file can be picked again
      if (files.length) take(files);
    });
  }
}

function startDropping(take) {
  const overlay = byId("drop");
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0; // dragenter and dragleave come for every element on the way
  addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth += 1;
    overlay.hidden = false;
  });
  addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    overlay.hidden = depth === 0;
  });
  addEventListener("drop", async (event) => {
    depth = 0;
    overlay.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    take(await droppedFiles(event.dataTransfer));
  });
}

/** The files of a drop, with those in its folders. */
async function droppedFiles(transfer) {
  // The entries have to be taken at once: the list is empty after the first await.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(filesBelow))).flat();
}

async function filesBelow(entry) {
  if (entry.isFile) {
    return new Promise((resolve) => entry.file((file) => resolve([file]), () => resolve([])));
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A folder is read about a hundred entries at a time, until none come.
    const batch = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!batch.length) return files;
    files.push(...(await Promise.all(batch.map(filesBelow))).flat());
  }
}

function startPasting(take) {
  addEventListener("paste", (event) => {
    if (event.target.closest?.("input[type=text], input[type=password], textarea")) return;
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length) {
      event.preventDefault();
      take(files);
    } else toast(t("toast.no-clipboard"));
  });
}

/** A portrait of Eileen Collins by NASA, in the public domain; only fetched when asked for. */
function startSample(take) {
  byId("sample").addEventListener("click", async () => {
    const response = await fetch(new URL("../sample.jpg", import.meta.url)).catch(() => null);
    if (!response?.ok) return toast(t("offline.title"));
    return take([new File([await response.blob()], "sample.jpg", { type: "image/jpeg" })]);
  });
}

/** Let the user pick one picture for something else than cutting out. */
export function pickPicture(use) {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  input.addEventListener("change", () => input.files[0] && use(input.files[0]));
  input.click();
}
