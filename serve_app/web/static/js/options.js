// What can be asked of the network and of the matte, and which of it differs from the preset.

// In the order of the panel. `crop` and `margin` are this page's own work: the cutout always comes
// whole, so that before and after lie on each other.
export const OPTIONS = [
  { name: "max_side", kind: "range", min: 128, max: 4096, step: 64, unit: "px" },
  { name: "refine", kind: "switch", on: "guided", off: "none" },
  { name: "decontaminate", kind: "switch", on: true, off: false },
  { name: "alpha_threshold", kind: "range", min: 0, max: 50, step: 1 },
  { name: "erode", kind: "range", min: 0, max: 5, step: 1, unit: "px" },
  { name: "feather", kind: "range", min: 0, max: 10, step: 1, unit: "px" },
  { name: "semitransparency", kind: "switch", on: true, off: false },
  { name: "shadow", kind: "choice", values: ["none", "drop", "ground"] },
  { name: "shadow_opacity", kind: "range", min: 0, max: 100, step: 1, unit: "percent", needs: "shadow" },
  { name: "size", kind: "choice", values: ["original", "1mp", "2mp", "4mp", "8mp", "network"] },
  { name: "crop", kind: "switch", on: true, off: false, local: true },
  { name: "margin", kind: "text", local: true, needs: "crop" },
];

export class Options extends EventTarget {
  #presets;
  #own = new Map();

  /** presets: what GET /v1/presets says. */
  constructor({ default: name, presets }) {
    super();
    this.#presets = presets;
    this.preset = name;
  }

  get presets() {
    return Object.keys(this.#presets);
  }

  get(name) {
    return this.#own.has(name) ? this.#own.get(name) : this.#presets[this.preset][name];
  }

  /** An option that only works beside another one is only there beside it. */
  isShown({ needs }) {
    return !needs || ![false, "none"].includes(this.get(needs));
  }

  /** What the preset itself asks for beyond the matte: its background and its format. */
  fromPreset(name) {
    return this.#presets[this.preset][name];
  }

  set(name, value) {
    if (value === this.#presets[this.preset][name]) this.#own.delete(name);
    else this.#own.set(name, value);
    this.#changed(OPTIONS.find((option) => option.name === name).local);
  }

  choose(preset) {
    this.preset = preset;
    this.#own.clear();
    this.#changed(false);
  }

  reset() {
    this.#own.clear();
    this.#changed(false);
  }

  isChanged(name) {
    return this.#own.has(name);
  }

  get changed() {
    return [...this.#own.keys()];
  }

  /** The fields of the request for a cutout: the preset and what differs from it. */
  fields() {
    const own = OPTIONS.filter((option) => !option.local && this.#own.has(option.name));
    return [["preset", this.preset], ...own.map(({ name }) => [name, String(this.get(name))])];
  }

  /** Changes exactly when another request would be made. */
  get fingerprint() {
    return JSON.stringify(this.fields());
  }

  #changed(local) {
    this.dispatchEvent(new CustomEvent("change", { detail: { local: Boolean(local) } }));
  }
}
