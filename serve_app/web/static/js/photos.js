// The photos on the page and what is known of each. Everything else listens to this list.
//
//   queued -> working -> done | failed | stopped, and from any of them back to queued
//
// A photo keeps its file and its result as Blobs, which the browser may keep on disk; pixels are
// only ever decoded for what is on the screen.

export const FINISHED = ["done", "failed", "stopped"];

let lastId = 0;

export class Photo {
  constructor(file) {
    this.id = ++lastId;
    this.file = file;
    this.name = file.name;
    this.state = "queued";
    this.result = null; // { blob, width, height, foreground, seconds, … } of the last success
    this.error = null; // { code, detail } of the last failure
    this.trimap = null; // File
    this.sent = 0; // how much of it is on its way to the service, 0 to 1
    this.startedAt = 0; // ms, when that began
    this.asked = null; // fingerprint of the options it was last sent with
    this.thumbnails = { before: null, after: null }; // object URLs
  }
}

export class Photos extends EventTarget {
  #list = [];

  get all() {
    return this.#list;
  }

  get size() {
    return this.#list.length;
  }

  in(...states) {
    return this.#list.filter((photo) => states.includes(photo.state));
  }

  get withResult() {
    return this.#list.filter((photo) => photo.result);
  }

  add(files) {
    const photos = files.map((file) => new Photo(file));
    this.#list.push(...photos);
    this.#tell("add", { photos });
    return photos;
  }

  update(photo, values) {
    // A photo that was removed meanwhile is nobody's any more.
    if (!this.#list.includes(photo)) return;
    Object.assign(photo, values);
    this.#tell("update", { photo });
  }

  remove(photo) {
    this.#list = this.#list.filter((other) => other !== photo);
    release(photo);
    this.#tell("remove", { photo });
  }

  clear() {
    const gone = this.#list;
    this.#list = [];
    gone.forEach(release);
    this.#tell("clear", {});
  }

  setThumbnail(photo, which, url) {
    if (photo.thumbnails[which]) URL.revokeObjectURL(photo.thumbnails[which]);
    photo.thumbnails[which] = url;
    if (!this.#list.includes(photo)) release(photo);
    else this.#tell("thumbnail", { photo });
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

function release(photo) {
  for (const url of Object.values(photo.thumbnails)) if (url) URL.revokeObjectURL(url);
  photo.thumbnails = { before: null, after: null };
}
