// What is being done about the photo on the stage, and how to stop it or go on.

import { say } from "./announce.js";
import { byId } from "./dom.js";
import { duration, number, onLanguage, t } from "./language.js";

const TICK_MS = 250;
const LONG_S = 3; // from here on it is told how long it has been

/** onStage() gives the photo that is looked at, or null; returns what draws its state anew. */
export function startStatus(queue, onStage) {
  const box = byId("status");
  const button = byId("status-act");
  let told = "";

  function draw() {
    const photo = onStage();
    const isStopped = photo?.state === "stopped";
    const hadFocus = document.activeElement === button;
    box.hidden = !photo || !["queued", "working", "stopped"].includes(photo.state);
    if (box.hidden) {
      if (hadFocus) byId("stage").focus({ preventScroll: true });
      return;
    }
    byId("status-text").textContent = words(photo);
    button.textContent = t(isStopped ? "status.go-on" : "run.cancel");
    tellPause();
  }

  function words({ state, sent, startedAt }) {
    if (state === "stopped") return t("state.stopped");
    if (queue.isOffline) return t("status.offline");
    if (state === "queued") {
      const time = duration(queue.pausedSeconds);
      return queue.pausedSeconds > 0 ? t("status.busy", { time }) : t("state.queued");
    }
    if (sent < 1) return t("status.sending", { percent: number(Math.floor(sent * 100)) });
    const seconds = (performance.now() - startedAt) / 1000;
    const isLong = seconds >= LONG_S;
    return isLong ? t("status.working-for", { time: duration(seconds) }) : t("status.working");
  }

  /** Once for each pause, not with every second of it. */
  function tellPause() {
    const now = queue.isOffline ? "offline" : queue.pausedSeconds > 0 ? "busy" : "";
    if (now && now !== told) say(byId("status-text").textContent);
    told = now;
  }

  button.addEventListener("click", () => {
    const photo = onStage();
    if (photo.state === "stopped") queue.add([photo], { first: true });
    else queue.stop(photo);
  });
  queue.addEventListener("change", draw);
  setInterval(() => box.hidden || draw(), TICK_MS);
  onLanguage(draw);
  return draw;
}
