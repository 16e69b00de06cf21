// How the photo lies on the stage: scale (screen px per image px) and the place of its corner.

const MOST = 16; // times an image pixel's size: enough to count pixels
const STEP = 1.25;
const FIT_AT_MOST = 2; // a small photo isn't blown up beyond this to fill the stage

export class Camera extends EventTarget {
  #stage;
  width = 1;
  height = 1;
  scale = 1;
  x = 0;
  y = 0;
  isFit = true;

  constructor(stage) {
    super();
    this.#stage = stage;
    new ResizeObserver(() => (this.isFit ? this.fit() : this.#moved())).observe(stage);
  }

  /** Say how large the photo is; the same size keeps what is looked at. */
  setContent(width, height) {
    if (width === this.width && height === this.height) return;
    const isSameShape = Math.abs(width / height - this.width / this.height) < 0.01;
    const ratio = this.width / width;
    [this.width, this.height] = [width, height];
    if (this.isFit || !isSameShape) this.fit();
    else {
      this.scale *= ratio; // another resolution of the same view
      this.#moved();
    }
  }

  /** One image pixel on one pixel of the screen. */
  get fullScale() {
    return 1 / devicePixelRatio;
  }

  get percent() {
    return (this.scale / this.fullScale) * 100;
  }

  get fitScale() {
    const { width, height } = this.#room();
    return Math.min(width / this.width, height / this.height, FIT_AT_MOST);
  }

  fit() {
    this.isFit = true;
    this.scale = this.fitScale;
    this.#moved();
  }

  full(point) {
    this.zoomTo(this.fullScale, point);
  }

  zoomIn(point) {
    this.zoomTo(this.scale * STEP, point);
  }

  zoomOut(point) {
    this.zoomTo(this.scale / STEP, point);
  }

  /** Zoom so that what lies under the point (of the stage) stays there. */
  zoomTo(scale, point = this.#middle()) {
    const least = Math.min(this.fitScale, this.fullScale);
    const next = Math.min(MOST * this.fullScale, Math.max(least, scale));
    this.x = point.x - ((point.x - this.x) * next) / this.scale;
    this.y = point.y - ((point.y - this.y) * next) / this.scale;
    this.scale = next;
    this.isFit = Math.abs(next / this.fitScale - 1) < 0.001;
    this.#moved();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#moved();
  }

  /** The part of the stage that the photo covers. */
  get seen() {
    const { clientWidth, clientHeight } = this.#stage;
    return {
      left: Math.max(0, this.x),
      top: Math.max(0, this.y),
      right: Math.min(clientWidth, this.x + this.width * this.scale),
      bottom: Math.min(clientHeight, this.y + this.height * this.scale),
    };
  }

  #middle() {
    return { x: this.#stage.clientWidth / 2, y: this.#stage.clientHeight / 2 };
  }

  #room() {
    const edge = this.#stage.clientWidth < 600 ? 12 : 28; // px of air around the photo
    return {
      width: Math.max(1, this.#stage.clientWidth - 2 * edge),
      height: Math.max(1, this.#stage.clientHeight - 2 * edge),
    };
  }

  /** A photo smaller than the stage stays in its middle; a larger one leaves no gap. */
  #moved() {
    const place = (at, size, room) =>
      size <= room ? (room - size) / 2 : Math.min(0, Math.max(room - size, at));
    this.x = place(this.x, this.width * this.scale, this.#stage.clientWidth);
    this.y = place(this.y, this.height * this.scale, this.#stage.clientHeight);
    this.dispatchEvent(new Event("change"));
  }
}
