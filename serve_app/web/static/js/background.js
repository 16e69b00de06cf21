// What goes behind the subject. It is put in by this page, so a choice shows at once.

export const SWATCHES = [
  ["white", "#ffffff"],
  ["black", "#000000"],
  ["grey", "#f0f0f0"],
  ["sand", "#e8d9c3"],
  ["sage", "#c9d6c5"],
  ["sky", "#bfd7ea"],
];

export class Background extends EventTarget {
  kind = "transparent"; // or "color", "blur", "photo"
  color = "#ffffff";
  photo = null; // { file, bitmap, url }

  setTransparent() {
    this.#set("transparent");
  }

  setColor(color) {
    this.color = color;
    this.#set("color");
  }

  setBlur() {
    this.#set("blur");
  }

  /** Throws where the browser cannot read the file. */
  async setPhoto(file) {
    const bitmap = await createImageBitmap(file);
    if (this.photo) {
      this.photo.bitmap.close();
      URL.revokeObjectURL(this.photo.url);
    }
    this.photo = { file, bitmap, url: URL.createObjectURL(file) };
    this.#set("photo");
  }

  usePhoto() {
    this.#set("photo");
  }

  /** Take a preset's own background, written as the API writes it. */
  setFromText(text) {
    if (text === "transparent") this.setTransparent();
    else if (text === "blur") this.setBlur();
    else this.setColor(opaqueHex(text));
  }

  /** The fields that ask the service for the same. */
  fields() {
    return {
      transparent: [],
      color: [["background", this.color]],
      blur: [["background", "blur"]],
      photo: this.photo ? [["background_image", this.photo.file]] : [],
    }[this.kind];
  }

  #set(kind) {
    this.kind = kind;
    this.dispatchEvent(new Event("change"));
  }
}

/** Any CSS colour as #rrggbb: a canvas knows them all. */
function opaqueHex(text) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = text;
  const color = context.fillStyle;
  return color.startsWith("#") ? color : "#ffffff";
}
