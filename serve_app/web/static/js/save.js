// Saving: one photo, all of them in a ZIP, the mask, or the clipboard.

import { say, toast } from "./announce.js";
import { mask, picture, TooLarge } from "./compose.js";
import { byId, element } from "./dom.js";
import { fillRange } from "./controls.js";
import { number, onLanguage, t, tCount } from "./language.js";
import { savedName, UniqueNames } from "./names.js";
import { Zip } from "./zip.js";

const LOSSLESS = 100; // what a browser's WebP encoder takes for lossless

export class Save {
  #photos;
  #background;
  #options;
  #current; // () => the photo on the stage, or null where all are meant
  #isPacking = false;
  format = "png";
  #quality = { jpeg: 90, webp: LOSSLESS };

  constructor(photos, background, options, current) {
    this.#photos = photos;
    this.#background = background;
    this.#options = options;
    this.#current = current;
    byId("formats").addEventListener("change", ({ target }) => this.setFormat(target.value));
    byId("quality").addEventListener("input", ({ target }) => {
      this.#quality[this.format] = Number(target.value);
      this.draw();
    });
    byId("download").addEventListener("click", () => this.#download(picture, ""));
    byId("mask").addEventListener("click", () => this.#download(mask, "-mask"));
    byId("copy").addEventListener("click", () => this.#copy());
    background.addEventListener("change", () => this.draw());
    onLanguage(() => this.draw());
  }

  setFormat(format) {
    this.format = format;
    byId("formats").querySelector(`[value="${format}"]`).checked = true;
    this.draw();
  }

  get quality() {
    return this.#quality[this.format] ?? LOSSLESS;
  }

  /** The fields that ask the service for the same file. */
  fields() {
    const isLossless = this.format === "png" || (this.format === "webp" && this.quality === LOSSLESS);
    const crop = this.#options.get("crop")
      ? [["crop", "true"], ["margin", this.#options.get("margin")]]
      : [];
    const quality = isLossless ? [] : [["quality", String(this.quality)]];
    return [...this.#background.fields(), ...crop, ["format", this.format], ...quality];
  }

  draw() {
    const photo = this.#current();
    const count = this.#photos.withResult.length;
    const isReady = (photo ? Boolean(photo.result) : count > 0) && !this.#isPacking;
    const name = { png: "PNG", webp: "WebP", jpeg: "JPEG" }[this.format];
    if (!this.#isPacking) {
      byId("download").textContent = photo
        ? t("save.file", { format: name })
        : tCount("save.zip", count);
    }
    byId("mask").textContent = t(photo ? "save.mask" : "save.masks");
    byId("copy").hidden = !photo;
    for (const id of ["download", "mask", "copy"]) byId(id).disabled = !isReady;
    byId("quality-row").hidden = this.format === "png";
    byId("quality").value = this.quality;
    byId("quality-value").textContent =
      this.format === "webp" && this.quality === LOSSLESS ? t("save.lossless") : number(this.quality);
    fillRange(byId("quality"));
    const isOnWhite = this.format === "jpeg" && this.#background.kind === "transparent";
    byId("format-note").hidden = !isOnWhite;
    byId("format-note").textContent = isOnWhite ? t("save.on-white") : "";
  }

  /** Save one photo as it is seen. */
  async one(photo, make = picture, suffix = "") {
    const format = make === mask ? "png" : this.format;
    const name = savedName(photo.name, format, suffix);
    const blob = await this.#attempt(photo, () => make(photo, this.#settings()));
    if (blob) deliver(blob, name);
  }

  #settings() {
    const { format, quality } = this;
    const isCropped = this.#options.get("crop");
    return { background: this.#background, format, quality, isCropped, margin: this.#options.get("margin") };
  }

  async #download(make, suffix) {
    const photo = this.#current();
    if (photo) await this.one(photo, make, suffix);
    else await this.#zip(make, suffix);
  }

  /** One photo after the other, so that only one is ever decoded. */
  async #zip(make, suffix) {
    const all = this.#photos.withResult;
    const settings = this.#settings();
    const format = make === mask ? "png" : settings.format;
    const names = new UniqueNames();
    const zip = new Zip();
    this.#isPacking = true;
    this.draw();
    try {
      for (const [index, photo] of all.entries()) {
        const values = { done: number(index + 1), total: number(all.length) };
        byId("download").textContent = t("save.zipping", values);
        const blob = await this.#attempt(photo, () => make(photo, settings));
        if (blob) await zip.add(names.take(savedName(photo.name, format, suffix)), blob);
      }
      deliver(zip.finish(), suffix ? "masks.zip" : "cutouts.zip");
    } finally {
      this.#isPacking = false;
      this.draw();
    }
  }

  async #copy() {
    if (!navigator.clipboard?.write || typeof ClipboardItem === "undefined") {
      return toast(t("save.insecure"));
    }
    const photo = this.#current();
    // A clipboard takes PNG only. The promise goes in unresolved: Safari insists on the click.
    const blob = picture(photo, { ...this.#settings(), format: "png" });
    try {
      await navigator.clipboard.write([new ClipboardItem({ "image/png": blob })]);
      return toast(t("save.copied"));
    } catch (error) {
      return toast(error.name === "NotAllowedError" ? t("save.insecure") : error.message);
    }
  }

  async #attempt(photo, make) {
    try {
      return await make();
    } catch (error) {
      const text = error instanceof TooLarge ? t("save.too-large", { name: photo.name }) : error.message;
      toast(text);
      return null;
    }
  }
}

function deliver(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = element("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser reads it on its own time
  say(t("say.saved", { name }));
}
