// Works through the photos, a few at a time, at the speed that the server can take.
//
// A server that is busy says when to come again: everything then waits until that time. One that
// doesn't answer is asked for its health until it does. Neither fails a photo.

import { getJson, Later, Unreachable } from "./api.js";

const AT_ONCE = 4; // enough to fill a batch, little enough that other people get their turn
const HEALTH_EVERY_MS = 3000;
const SPEED_OVER = 24; // the last so many results make the speed that the time left is worked out from

export class Queue extends EventTarget {
  #photos;
  #work;
  #waiting = [];
  #running = new Map(); // photo -> AbortController
  #ends = []; // ms, when results came in
  #pausedUntil = 0;
  #timer = 0;
  isOffline = false;

  /** work(photo, signal) gives the values of a photo that is done, or throws. */
  constructor(photos, work) {
    super();
    this.#photos = photos;
    this.#work = work;
    photos.addEventListener("remove", ({ detail }) => this.#drop(detail.photo));
    photos.addEventListener("clear", () => this.#dropAll());
  }

  get isBusy() {
    return this.#waiting.length + this.#running.size > 0;
  }

  get pausedSeconds() {
    return Math.max(0, (this.#pausedUntil - Date.now()) / 1000);
  }

  /** Put photos into the queue, first in line if `first`; those at work are started anew. */
  add(photos, { first = false } = {}) {
    if (!this.isBusy) this.#ends = [performance.now()];
    for (const photo of photos) this.#drop(photo);
    this.#waiting = first ? [...photos, ...this.#waiting] : [...this.#waiting, ...photos];
    for (const photo of photos) this.#photos.update(photo, { state: "queued", error: null });
    this.#next();
  }

  cancel() {
    const stopped = [...this.#waiting, ...this.#running.keys()];
    this.#dropAll();
    for (const photo of stopped) this.#photos.update(photo, { state: "stopped" });
    this.#tell();
  }

  /** Stop one photo; the others go on. */
  stop(photo) {
    this.#drop(photo);
    this.#photos.update(photo, { state: "stopped" });
    if (!this.isBusy) this.#dropAll(); // nothing is left to wait for the server with
    this.#tell();
  }

  /** Seconds until the queue is empty, or null while there is too little to judge from. */
  get secondsLeft() {
    const ends = this.#ends.slice(-SPEED_OVER);
    if (ends.length < 3) return null;
    const each = (performance.now() - ends[0]) / (ends.length - 1);
    return ((this.#waiting.length + this.#running.size) * each) / 1000;
  }

  #drop(photo) {
    this.#running.get(photo)?.abort();
    this.#running.delete(photo);
    this.#waiting = this.#waiting.filter((other) => other !== photo);
    this.#next();
  }

  #dropAll() {
    this.#waiting = [];
    for (const abort of this.#running.values()) abort.abort();
    this.#running.clear();
    clearTimeout(this.#timer);
    this.#pausedUntil = 0;
    if (this.isOffline) this.#setOffline(false);
  }

  #next() {
    if (this.isOffline || this.pausedSeconds > 0) return;
    while (this.#running.size < AT_ONCE && this.#waiting.length) this.#run(this.#waiting.shift());
    this.#tell();
  }

  async #run(photo) {
    const abort = new AbortController();
    this.#running.set(photo, abort);
    this.#photos.update(photo, { state: "working", sent: 0, startedAt: performance.now() });
    const own = () => this.#running.get(photo) === abort; // false once dropped or started anew
    try {
      const values = await this.#work(photo, abort.signal);
      if (!own()) return;
      this.#running.delete(photo);
      this.#ends.push(performance.now());
      this.#photos.update(photo, { ...values, state: "done", error: null });
    } catch (error) {
      if (!own()) return;
      this.#running.delete(photo);
      this.#settle(photo, error);
    }
    this.#next();
  }

  #settle(photo, error) {
    if (error instanceof Later || error instanceof Unreachable) {
      this.#waiting.unshift(photo);
      this.#photos.update(photo, { state: "queued" });
      if (error instanceof Later) this.#pause(error.seconds);
      else if (!this.isOffline) this.#waitForServer();
      return;
    }
    this.#ends.push(performance.now());
    const { code = "other", message: detail } = error;
    this.#photos.update(photo, { state: "failed", error: { code, detail } });
  }

  #pause(seconds) {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + seconds * 1000);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#next(), this.pausedSeconds * 1000 + 20);
    this.#tell();
  }

  #waitForServer() {
    this.#setOffline(true);
    const ask = async () => {
      try {
        await getJson("healthz");
      } catch (error) {
        if (!(error instanceof Unreachable)) return back();
        this.#timer = setTimeout(ask, HEALTH_EVERY_MS);
        return undefined;
      }
      return back();
    };
    const back = () => {
      this.#setOffline(false);
      this.#next();
    };
    this.#timer = setTimeout(ask, HEALTH_EVERY_MS);
  }

  #setOffline(isOffline) {
    this.isOffline = isOffline;
    if (!isOffline) this.#ends = [performance.now()]; // the wait says nothing about the speed
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }
}
