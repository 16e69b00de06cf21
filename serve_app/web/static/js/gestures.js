// Mouse, finger, wheel and keys on the stage.

const NEAR_PX = 28; // this close to the divider, a drag takes it
const DRAG_PX = 4; // less is a click
const KEY_PAN_PX = 60;

/** split: { isShown, x, moveTo(x) } */
export function startGestures(stage, camera, split) {
  const pointers = new Map();
  let drag = null; // "split" or "pan", once the pointer has moved
  let pinch = 0;

  const at = (event) => {
    const box = stage.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };

  stage.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("button, .fault, .status")) return;
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { ...at(event), start: at(event) });
    if (pointers.size === 2) pinch = spread(pointers);
  });

  stage.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId);
    if (!last) return;
    const now = at(event);
    pointers.set(event.pointerId, { ...now, start: last.start });
    if (pointers.size === 2) {
      const next = spread(pointers);
      camera.zoomTo((camera.scale * next) / pinch, middle(pointers));
      pinch = next;
      return;
    }
    if (!drag && Math.hypot(now.x - last.start.x, now.y - last.start.y) < DRAG_PX) return;
    const takesSplit = camera.isFit || Math.abs(last.start.x - split.x) < NEAR_PX;
    drag ??= split.isShown && takesSplit ? "split" : "pan";
    if (drag === "split") split.moveTo(now.x);
    else camera.pan(now.x - last.x, now.y - last.y);
  });

  const end = (event) => {
    pointers.delete(event.pointerId);
    if (!pointers.size) drag = null;
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);

  stage.addEventListener("dblclick", (event) => {
    if (event.target.closest("button, .fault, .status")) return;
    if (camera.isFit) camera.full(at(event));
    else camera.fit();
  });

  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      // A wheel's notch is about 100; lines and pages are told in their own unit.
      const pixels = event.deltaY * [1, 33, 400][event.deltaMode];
      camera.zoomTo(camera.scale * Math.exp(-pixels / (event.ctrlKey ? 120 : 500)), at(event));
    },
    { passive: false },
  );

  const keys = {
    ArrowLeft: () => camera.pan(KEY_PAN_PX, 0),
    ArrowRight: () => camera.pan(-KEY_PAN_PX, 0),
    ArrowUp: () => camera.pan(0, KEY_PAN_PX),
    ArrowDown: () => camera.pan(0, -KEY_PAN_PX),
    "+": () => camera.zoomIn(),
    "=": () => camera.zoomIn(),
    "-": () => camera.zoomOut(),
    0: () => camera.fit(),
    1: () => camera.full(),
  };
  stage.addEventListener("keydown", (event) => {
    if (event.target !== stage || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  });
}

function spread(pointers) {
  const [a, b] = [...pointers.values()];
  return Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
}

function middle(pointers) {
  const [a, b] = [...pointers.values()];
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}
