// The before/after slider: a range input with a divider drawn over it.

import { t } from "./language.js";

const REVEAL_MS = 700;

export class Split {
  #stage;
  #input;
  #camera;
  #frame = 0;
  #hasResult = false;

  constructor(stage, input, camera) {
    this.#stage = stage;
    this.#input = input;
    this.#camera = camera;
    input.addEventListener("input", () => {
      cancelAnimationFrame(this.#frame);
      this.draw();
    });
    camera.addEventListener("change", () => this.draw());
  }

  /** The overlay shows all of the original: there is nothing to draw a curtain over. */
  get isShown() {
    return this.#hasResult && this.#stage.dataset.view !== "overlay";
  }

  /** px from the stage's left edge. The slider's way is what is seen of the photo, at any zoom. */
  get x() {
    const { left, right } = this.#camera.seen;
    return left + ((right - left) * Number(this.#input.value)) / 100;
  }

  moveTo(x) {
    cancelAnimationFrame(this.#frame);
    const { left, right } = this.#camera.seen;
    this.#input.value = ((x - left) / Math.max(1, right - left)) * 100;
    this.draw();
  }

  setHasResult(hasResult) {
    this.#hasResult = hasResult;
    this.#stage.classList.toggle("has-result", hasResult);
    this.draw();
  }

  /** Draw the curtain from the right to where it was. */
  reveal() {
    const target = Number(this.#input.value);
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const start = performance.now();
    const step = (now) => {
      const part = Math.min(1, Math.max(0, (now - start) / REVEAL_MS));
      this.#input.value = 100 - (100 - target) * (1 - (1 - part) ** 3);
      this.draw();
      if (part < 1) this.#frame = requestAnimationFrame(step);
    };
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(step);
  }

  draw() {
    const { style, classList, clientWidth, clientHeight } = this.#stage;
    const { left, top, right, bottom } = this.#camera.seen;
    const value = Number(this.#input.value);
    this.#input.hidden = !this.isShown;
    style.setProperty("--split", this.#hasResult ? `${this.x}px` : "100%");
    style.setProperty("--part", `${value}%`);
    style.setProperty("--seen-left", `${left}px`);
    style.setProperty("--seen-top", `${top}px`);
    style.setProperty("--seen-right", `${clientWidth - right}px`);
    style.setProperty("--seen-bottom", `${clientHeight - bottom}px`);
    const percent = Math.round(value);
    this.#input.setAttribute("aria-valuetext", t("split.value", { percent }));
    classList.toggle("is-all-before", percent > 88);
    classList.toggle("is-all-after", percent < 12);
  }
}
