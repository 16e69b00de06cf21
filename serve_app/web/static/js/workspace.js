// What is on the screen: nothing yet, one photo, or all of them.

import { byId } from "./dom.js";
import { number, onLanguage, t, tCount } from "./language.js";

export class Workspace extends EventTarget {
  #photos;
  photo = null; // the one on the stage; null where all are shown

  constructor(photos) {
    super();
    this.#photos = photos;
    photos.addEventListener("add", ({ detail }) => this.#afterAdding(detail.photos));
    photos.addEventListener("remove", ({ detail }) => this.#afterRemoving(detail.photo));
    photos.addEventListener("clear", () => this.show(null));
    photos.addEventListener("update", ({ detail }) => detail.photo === this.photo && this.draw());
    byId("to-all").addEventListener("click", () => this.showAll());
    byId("previous").addEventListener("click", () => this.step(-1));
    byId("next").addEventListener("click", () => this.step(1));
    addEventListener("keydown", (event) => this.#key(event));
    onLanguage(() => this.draw());
  }

  show(photo) {
    this.photo = photo;
    this.draw();
    this.dispatchEvent(new Event("show"));
  }

  step(by) {
    const { all } = this.#photos;
    const next = all[all.indexOf(this.photo) + by];
    if (next) this.show(next);
  }

  draw() {
    const { photo } = this;
    const { all, size } = this.#photos;
    byId("empty").hidden = size > 0;
    byId("work").hidden = size === 0;
    byId("one").hidden = !photo;
    byId("many").hidden = Boolean(photo);
    byId("to-all").hidden = byId("steps").hidden = !photo || size < 2;
    byId("title").textContent = photo ? photo.name : tCount("photos.count", size);
    byId("facts").textContent = photo ? this.#facts() : "";
    byId("previous").disabled = all[0] === photo;
    byId("next").disabled = all.at(-1) === photo;
  }

  #facts() {
    const { all, size } = this.#photos;
    const { result } = this.photo;
    const place = { index: all.indexOf(this.photo) + 1, total: size };
    const parts = size > 1 ? [t("bar.place", place)] : [];
    if (result) {
      parts.push(`${result.width} × ${result.height}`);
      const seconds = number(result.seconds, { maximumFractionDigits: 1, minimumFractionDigits: 1 });
      parts.push(t("time.seconds", { count: seconds }));
    }
    return parts.join(" · ");
  }

  #afterAdding(photos) {
    const isFirst = this.#photos.size === photos.length;
    if (photos.length === 1 && (isFirst || this.photo)) this.show(photos[0]);
    else this.show(null);
  }

  #afterRemoving(photo) {
    const { all } = this.#photos;
    if (this.photo === photo) this.show(all[0] ?? null);
    else this.draw();
  }

  /** Show all photos, with the focus on the one that was looked at. */
  showAll() {
    const { photo } = this;
    this.show(null);
    const tile = [...byId("photos").children].find((each) => each.photo === photo);
    tile?.querySelector(".open").focus();
  }

  #key(event) {
    if (!this.photo || byId("panel-work").hidden || document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && this.#photos.size > 1 && !event.target.closest("select")) {
      this.showAll();
      return;
    }
    const by = { PageUp: -1, PageDown: 1 }[event.key];
    // A slider uses these keys itself.
    if (!by || event.target.closest("input, select, textarea, [role=tab]")) return;
    event.preventDefault();
    this.step(by);
  }
}
