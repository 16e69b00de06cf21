// Puts the page together. Each part knows only what it is given here.

import { drawAboutPage } from "./about-page.js";
import { say, toast } from "./announce.js";
import { drawApiPage } from "./api-page.js";
import { Background } from "./background.js";
import { cutOut } from "./cutout.js";
import { askForKey, confirmClear } from "./dialogs.js";
import { byId } from "./dom.js";
import { startGridBackground } from "./grid-background.js";
import { startGrid } from "./grid.js";
import { startHistory } from "./history.js";
import { pickPicture, startIntake } from "./intake.js";
import { onLanguage, startLanguage, t, tCount } from "./language.js";
import { Options } from "./options.js";
import { showTrimap, startPanel } from "./panel.js";
import { Photos } from "./photos.js";
import { startPresetLook } from "./preset-look.js";
import { Queue } from "./queue.js";
import { startRerun } from "./rerun.js";
import { startRun } from "./run.js";
import { Save } from "./save.js";
import { insist, loadedModels } from "./service.js";
import { startStatus } from "./status.js";
import { startSwatches } from "./swatches.js";
import { startTabs } from "./tabs.js";
import { startTheme } from "./theme.js";
import { Viewer } from "./viewer.js";
import { Workspace } from "./workspace.js";

const SOON_MS = 700;

startTheme(byId("theme"));
startLanguage(byId("language"));
if (/Mac|iPhone|iPad/.test(navigator.platform)) byId("paste-key").textContent = "⌘";
document.documentElement.dataset.ready = "";

// What comes before the service has answered is kept, and not lost to a page that isn't ready.
const early = [];
let take = (files) => {
  early.push(...files);
  // Most services answer before anybody could read this.
  if (early.length === files.length) setTimeout(() => early.length && toast(t("toast.early")), SOON_MS);
};
startIntake((files) => take(files));

const [presets, limits] = await Promise.all([insist("v1/presets"), insist("v1/limits")]);

const photos = new Photos();
const options = new Options(presets);
const background = new Background();
const workspace = new Workspace(photos);
const queue = new Queue(photos, (photo, signal) => cutOut(photo, options, limits, signal));
const save = new Save(photos, background, options, () => workspace.photo);
const viewer = new Viewer(options, background, (photo) => queue.add([photo], { first: true }));
const rerun = startRerun(photos, queue, options, () => workspace.photo);
let lastDone; // the photo whose call the API tab shows
let models = null;

startPanel(options);
startSwatches(background, pickPicture);
startPresetLook(options, background, save);
startGridBackground(background);
const drawRun = startRun(
  photos,
  queue,
  { staleCount: () => rerun.stale().length, isOnStage: () => workspace.photo !== null },
  { retry: (list) => queue.add(list), refresh: rerun.refresh },
);
const drawStatus = startStatus(queue, () => workspace.photo);
const drawGrid = startGrid(photos, {
  open: (photo) => {
    workspace.show(photo);
    byId("stage").focus();
  },
  retry: (photo) => queue.add([photo]),
  remove: (photo) => photos.remove(photo),
  save: (photo) => save.one(photo),
});
const tabs = startTabs(async (tab) => {
  if (tab === "tab-api") drawApi();
  if (tab !== "tab-about") return;
  drawAbout();
  models = await loadedModels();
  drawAbout();
});

take = (files) => {
  tabs.openWork();
  say(tCount("say.added", files.length));
  queue.add(photos.add(files));
};

startHistory(photos, workspace);
workspace.addEventListener("show", () => {
  viewer.show(workspace.photo);
  drawStatus();
  drawTrimap();
  drawRun();
  save.draw();
});
photos.addEventListener("update", ({ detail: { photo } }) => {
  if (photo.state === "done") lastDone = photo;
  if (photo.error?.code === "auth_failed") retryWithKey();
  if (photo !== workspace.photo) return save.draw();
  viewer.refresh();
  drawStatus();
  drawTrimap();
  save.draw();
  if (photo.state === "done") say(t("say.done", { name: photo.name }));
  if (photo.state === "failed") {
    say(t("say.failed", { name: photo.name, detail: photo.error.detail }));
  }
  return undefined;
});
photos.addEventListener("remove", () => save.draw());
photos.addEventListener("clear", () => (lastDone = undefined));
options.addEventListener("change", () => {
  viewer.measure();
  save.draw();
  drawRun();
});
onLanguage(() => {
  drawGrid();
  viewer.refresh();
  drawTrimap();
  drawApi();
  drawAbout();
});

if (early.length) take(early.splice(0));

byId("clear").addEventListener("click", async () => {
  if (photos.size > 1 && !(await confirmClear(photos.size))) return;
  photos.clear();
  document.querySelector("#empty [data-action=pick]").focus();
});
// One photo is made again in a moment; many are work that nobody wants to lose.
addEventListener("beforeunload", (event) => {
  if (queue.isBusy || save.unsavedCount > 1) event.preventDefault();
});

async function retryWithKey() {
  if (!(await askForKey())) return;
  queue.add(photos.in("failed").filter((photo) => photo.error.code === "auth_failed"));
}

function drawTrimap() {
  const { photo } = workspace;
  showTrimap(photo, pickPicture, (file) => {
    photo.trimap = file;
    queue.add([photo], { first: true });
  });
}

function drawApi() {
  drawApiPage(byId("panel-api"), lastDone, options, save);
}

function drawAbout() {
  drawAboutPage(byId("panel-about"), models, limits);
}
