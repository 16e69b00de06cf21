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
  #progress = null; // what the button says while a file is being made
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
    this.#onClick("download", () => this.#download(picture, ""));
    this.#onClick("mask", () => this.#download(mask, "-mask"));
    this.#onClick("copy", () => this.#copy());
    background.addEventListener("change", () => this.draw());
    onLanguage(() => this.draw());
  }

  setFormat(format) {
    this.format = format;
    byId("formats").querySelector(`[value="${format}"]`).checked = true;
    this.draw();
  }

  /** How many results have not been saved since they came. */
  get unsavedCount() {
    return this.#photos.withResult.filter(({ result }) => !result.isSaved).length;
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
    const isReady = photo ? Boolean(photo.result) : count > 0;
    const name = { png: "PNG", webp: "WebP", jpeg: "JPEG" }[this.format];
    const invitation = photo ? t("save.file", { format: name }) : tCount("save.zip", count);
    byId("download").textContent = this.#progress ?? invitation;
    byId("mask").textContent = t(photo ? "save.mask" : "save.masks");
    byId("copy").hidden = !photo;
    for (const id of ["download", "mask", "copy"]) {
      byId(id).disabled = !isReady;
      // Not disabled while one is made: that would take the keyboard's focus away.
      byId(id).setAttribute("aria-disabled", String(this.#progress !== null));
    }
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
    const { result } = photo;
    const blob = await this.#attempt(photo, () => make(photo, this.#settings()));
    if (!blob) return;
    deliver(blob, name);
    result.isSaved = true;
  }

  /** One file is made at a time: a second click on the way is for the same one. */
  #onClick(id, make) {
    byId(id).addEventListener("click", async () => {
      if (this.#progress !== null) return;
      this.#tell(t("save.making"));
      try {
        await make();
      } finally {
        this.#tell(null);
      }
    });
  }

  #tell(progress) {
    this.#progress = progress;
    this.draw();
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
    for (const [index, photo] of all.entries()) {
      this.#tell(t("save.zipping", { done: number(index + 1), total: number(all.length) }));
      const { result } = photo;
      const blob = await this.#attempt(photo, () => make(photo, settings));
      if (!blob) continue;
      await zip.add(names.take(savedName(photo.name, format, suffix)), blob);
      result.isSaved = true;
    }
    deliver(zip.finish(), suffix ? "masks.zip" : "cutouts.zip");
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
