// One photo on the stage: before and after as two planes of layers that the browser puts together,
// so that a background, the mask or another zoom shows without any pixel being worked out here.

import { Camera } from "./camera.js";
import { blurOf } from "./compose.js";
import { cropBox } from "./crop.js";
import { byId } from "./dom.js";
import { showFault } from "./fault.js";
import { startGestures } from "./gestures.js";
import { t } from "./language.js";
import { readableOriginal } from "./original.js";
import { Split } from "./split.js";

export class Viewer {
  #stage = byId("stage");
  #camera = new Camera(this.#stage);
  #split = new Split(this.#stage, byId("split"), this.#camera);
  #original = this.#stage.querySelector(".original");
  #cutout = this.#stage.querySelector(".cutout");
  #backdrop = this.#stage.querySelector(".backdrop");
  #urls = { original: null, cutout: null, of: null };
  #options;
  #background;
  #retry;
  #blurredOf = null; // the photo whose blurred background lies behind
  #isUnreadable = false; // the browser cannot show the file itself
  photo = null;

  constructor(options, background, retry) {
    this.#options = options;
    this.#background = background;
    this.#retry = retry;
    this.#camera.addEventListener("change", () => this.#place());
    startGestures(this.#stage, this.#camera, this.#split);
    this.#startZoom();
    byId("views").addEventListener("change", ({ target }) => {
      this.#stage.dataset.view = target.value;
      this.#split.draw();
    });
    this.#original.addEventListener("load", () => this.#measure());
    this.#original.addEventListener("error", () => {
      this.#isUnreadable = true;
      this.refresh();
    });
    background.addEventListener("change", () => this.#drawBackground());
  }

  /** Put a photo on the stage, or take it off with null. */
  show(photo) {
    if (photo !== this.photo) {
      this.photo = photo;
      this.#setUrl("cutout", null);
      this.#urls.of = null;
      this.#isUnreadable = false;
      this.#split.setHasResult(false);
      this.#camera.isFit = true;
      this.#setUrl("original", photo?.file ?? null);
    }
    if (photo) this.refresh();
  }

  /** Draw the photo's state and result as they are now. */
  refresh() {
    const { photo } = this;
    if (!photo) return;
    const isWorking = photo.state === "working" || photo.state === "queued";
    this.#stage.classList.toggle("is-working", isWorking);
    this.#stage.setAttribute("aria-label", t("stage.label", { name: photo.name }));
    this.#stage.setAttribute("aria-busy", String(isWorking));
    showFault(byId("fault"), photo, this.#retry);
    if (photo.result && this.#urls.of !== photo.result) this.#showResult(photo.result);
    // Not before there is a result: what the service cannot read either needs no second try.
    if (photo.result && this.#isUnreadable) this.#showReadable(photo);
    this.measure();
  }

  /** The crop may have changed. */
  measure() {
    this.#measure();
    this.#place();
  }

  async #showResult(result) {
    const isFirst = this.#urls.of === null;
    this.#urls.of = result;
    const { photo } = this;
    const next = new Image();
    const url = URL.createObjectURL(result.blob);
    next.src = url;
    await next.decode().catch(() => undefined); // so that nothing flashes between the two
    if (this.photo !== photo || this.#urls.of !== result) return URL.revokeObjectURL(url);
    this.#setUrl("cutout", url);
    this.#stage.style.setProperty("--cutout", `url("${url}")`);
    this.#split.setHasResult(true);
    this.measure();
    this.#drawBackground();
    if (isFirst) this.#split.reveal();
    return undefined;
  }

  /** What is shown of the photo, in pixels of the result, or of the original before there is one. */
  #measure() {
    const { photo } = this;
    if (!photo) return;
    const { naturalWidth: width, naturalHeight: height } = this.#original;
    const whole = photo.result ?? { width, height, foreground: { width: 0 } };
    if (!whole.width) return;
    const isCropped = Boolean(photo.result) && this.#options.get("crop");
    const box = cropBox(whole, isCropped, this.#options.get("margin"));
    for (const layer of this.#stage.querySelectorAll(".content > *")) {
      layer.style.width = `${(whole.width / box.width) * 100}%`;
      layer.style.height = `${(whole.height / box.height) * 100}%`;
      layer.style.left = `${(-box.left / box.width) * 100}%`;
      layer.style.top = `${(-box.top / box.height) * 100}%`;
    }
    this.#camera.setContent(box.width, box.height);
  }

  #place() {
    const { x, y, scale, width, height, isFit, percent } = this.#camera;
    const style = this.#stage.style;
    style.setProperty("--x", `${x}px`);
    style.setProperty("--y", `${y}px`);
    style.setProperty("--width", `${width * scale}px`);
    style.setProperty("--height", `${height * scale}px`);
    this.#stage.classList.toggle("is-fit", isFit);
    this.#stage.classList.toggle("is-large", percent >= 300);
    byId("zoom-value").textContent = `${Math.round(percent)} %`;
  }

  async #drawBackground() {
    const { photo } = this;
    const { kind, color, photo: picture } = this.#background;
    // A blurred one takes a moment: until it is there, nothing else lies behind.
    this.#backdrop.classList.toggle("checker", kind === "transparent" || kind === "blur");
    this.#backdrop.style.backgroundColor = kind === "color" ? color : "";
    this.#backdrop.style.backgroundImage = kind === "photo" ? `url("${picture.url}")` : "";
    if (kind !== "blur" || photo !== this.#blurredOf) {
      this.#blurredOf = null;
      this.#backdrop.replaceChildren();
    }
    if (kind !== "blur" || !photo?.result) return;
    const cutout = await createImageBitmap(photo.result.blob);
    const blurred = await blurOf(photo, cutout);
    cutout.close();
    if (this.photo === photo && this.#background.kind === "blur") {
      this.#blurredOf = photo;
      this.#backdrop.replaceChildren(blurred);
    }
  }

  #setUrl(which, source) {
    const image = which === "original" ? this.#original : this.#cutout;
    if (this.#urls[which]) URL.revokeObjectURL(this.#urls[which]);
    const url = source instanceof Blob ? URL.createObjectURL(source) : source;
    this.#urls[which] = url;
    if (url) image.src = url;
    else image.removeAttribute("src");
  }

  async #showReadable(photo) {
    this.#isUnreadable = false;
    const blob = await readableOriginal(photo).catch(() => null);
    if (blob && this.photo === photo) this.#setUrl("original", blob);
  }

  #startZoom() {
    byId("zoom-in").addEventListener("click", () => this.#camera.zoomIn());
    byId("zoom-out").addEventListener("click", () => this.#camera.zoomOut());
    byId("zoom-fit").addEventListener("click", () => this.#camera.fit());
    byId("zoom-full").addEventListener("click", () => this.#camera.full());
  }
}
