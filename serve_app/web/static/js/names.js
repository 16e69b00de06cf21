// Names of what is saved: the photo's own, with the ending of its new format.

export const ENDINGS = { png: "png", webp: "webp", jpeg: "jpg" };

export function savedName(name, format, suffix = "") {
  const stem = name.replace(/\.[^./\\]+$/, "") || "photo";
  return `${stem}${suffix}.${ENDINGS[format]}`;
}

/** Number the names that come again: cat.png, cat (2).png. Upper and lower case count as one. */
export class UniqueNames {
  #taken = new Set();

  take(name) {
    const dot = name.lastIndexOf(".");
    let free = name;
    for (let n = 2; this.#taken.has(free.toLowerCase()); n++) {
      free = `${name.slice(0, dot)} (${n})${name.slice(dot)}`;
    }
    this.#taken.add(free.toLowerCase());
    return free;
  }
}
