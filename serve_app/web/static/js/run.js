// The work on all photos: how far it is, how long it still takes, stopping it and trying again.

import { say } from "./announce.js";
import { byId } from "./dom.js";
import { duration, number, onLanguage, t, tCount } from "./language.js";
import { FINISHED } from "./photos.js";

const TICK_MS = 500;

/**
 * act: { retry, refresh }; staleCount() says how many were made with other options, isOnStage()
 * whether one photo is looked at.
 */
export function startRun(photos, queue, { staleCount, isOnStage }, act) {
  let wasBusy = false;
  let spoken = 0;

  function draw() {
    const total = photos.size;
    const done = photos.in("done").length;
    const failed = photos.in("failed").length;
    const stopped = photos.in("stopped").length;
    const stale = queue.isBusy ? 0 : staleCount();
    byId("offline").hidden = !queue.isOffline;
    // Beside one photo, it is there only while there is something to wait for or to do.
    byId("run").hidden = total < 2 || (isOnStage() && !queue.isBusy && !stale);
    byId("run").classList.toggle("is-busy", queue.isBusy);
    const bar = byId("run-bar");
    bar.max = Math.max(1, total);
    bar.value = photos.in(...FINISHED).length;
    byId("run-text").textContent = summary({ total, done, failed, stopped, stale });
    byId("cancel").hidden = !queue.isBusy;
    byId("retry").hidden = failed + stopped === 0 || queue.isBusy;
    byId("retry").textContent = stopped
      ? tCount("run.resume", failed + stopped)
      : tCount("run.retry", failed);
    document.title = queue.isBusy && total > 1
      ? t("run.title", { done: number(done + failed), total: number(total) })
      : t("page.title");
    byId("refresh").hidden = stale === 0;
    byId("refresh").textContent = t("run.refresh");
    speak(total, done, failed);
  }

  function summary({ total, done, failed, stopped, stale }) {
    const parts = [t("run.done", { done: number(done), total: number(total) })];
    if (failed) parts.push(tCount("run.failed", failed));
    if (stopped) parts.push(t("run.stopped", { count: number(stopped) }));
    if (stale) parts.push(tCount("run.stale", stale));
    if (queue.isBusy) parts.push(timeLeft());
    return parts.join(" · ");
  }

  function timeLeft() {
    if (queue.isOffline) return t("run.offline");
    if (queue.pausedSeconds > 0) return t("run.busy", { time: duration(queue.pausedSeconds) });
    const seconds = queue.secondsLeft;
    return seconds === null ? t("run.measuring") : t("run.left", { time: duration(seconds) });
  }

  /** Screen readers hear each quarter and the end, not each photo. */
  function speak(total, done, failed) {
    if (total > 1 && queue.isBusy) {
      const quarter = Math.floor((4 * (done + failed)) / total);
      if (quarter > spoken) say(t("say.progress", { done, total }));
      spoken = quarter;
    }
    if (total > 1 && wasBusy && !queue.isBusy) say(t("say.finished", { done, failed }));
    wasBusy = queue.isBusy;
  }

  byId("cancel").addEventListener("click", () => {
    queue.cancel();
    if (!byId("retry").hidden) byId("retry").focus();
  });
  byId("retry").addEventListener("click", () => act.retry(photos.in("failed", "stopped")));
  byId("refresh").addEventListener("click", act.refresh);

  // Many photos change at once; one drawing a frame is enough.
  let isWaiting = false;
  const soon = () => {
    if (isWaiting) return;
    isWaiting = true;
    const once = () => {
      if (!isWaiting) return;
      isWaiting = false;
      draw();
    };
    requestAnimationFrame(once);
    setTimeout(once, TICK_MS); // a tab in the background has no frames, but a title that tells how far
  };
  for (const type of ["add", "update", "remove", "clear"]) photos.addEventListener(type, soon);
  queue.addEventListener("change", soon);
  setInterval(() => queue.isBusy && soon(), TICK_MS);
  onLanguage(draw);
  return soon;
}
