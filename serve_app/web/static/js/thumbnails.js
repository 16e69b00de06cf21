// Small pictures for the grid, one at a time and only for photos that come into view: decoding is
// the one thing here that takes memory.

const WIDTH = 320; // px; a tile is half as wide, and screens are twice as fine

export class Thumbnails {
  #photos;
  #jobs = [];
  #isBusy = false;

  constructor(photos) {
    this.#photos = photos;
  }

  /** Make the picture of a photo's file ("before") or of its result ("after"). */
  want(photo, which) {
    if (this.#jobs.some((job) => job.photo === photo && job.which === which)) return;
    this.#jobs.push({ photo, which });
    this.#work();
  }

  async #work() {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (this.#jobs.length) {
      const { photo, which } = this.#jobs.shift();
      if (!this.#photos.all.includes(photo)) continue;
      const blob = which === "before" ? photo.file : photo.result.blob;
      const url = await thumbnail(blob).catch(() => null); // e.g. TIFF, which few browsers read
      if (url) this.#photos.setThumbnail(photo, which, url);
    }
    this.#isBusy = false;
  }
}

async function thumbnail(blob) {
  const bitmap = await createImageBitmap(blob, { resizeWidth: WIDTH, resizeQuality: "medium" });
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const small = await new Promise((resolve) => canvas.toBlob(resolve, "image/webp", 0.8));
  canvas.width = 0; // gives its memory back now and not at the next collection
  return URL.createObjectURL(small);
}
