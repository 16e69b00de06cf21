// The chosen background behind every tile: rough, since the photos themselves are put together only
// when they are saved.

import { byId } from "./dom.js";

export function startGridBackground(background) {
  const list = byId("photos");
  const draw = () => {
    list.dataset.background = background.kind;
    list.style.setProperty("--tile-color", background.color);
    const url = background.photo ? `url("${background.photo.url}")` : "none";
    list.style.setProperty("--tile-picture", url);
  };
  background.addEventListener("change", draw);
  draw();
}
