// Many photos: a tile for each, with its state and what can be done about it.

import { byId, element, icon } from "./dom.js";
import { faultTitle } from "./fault.js";
import { t } from "./language.js";
import { Thumbnails } from "./thumbnails.js";

/** act: { open, retry, remove, save }, each called with a photo. */
export function startGrid(photos, act) {
  const list = byId("photos");
  const thumbnails = new Thumbnails(photos);
  const tiles = new Map(); // photo -> tile
  const inView = new Set();

  const watcher = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) inView.add(target.photo);
        else inView.delete(target.photo);
        if (isIntersecting) wantThumbnails(target.photo);
      }
    },
    { rootMargin: "200px" },
  );

  function wantThumbnails(photo) {
    if (!inView.has(photo)) return;
    if (!photo.thumbnails.before) thumbnails.want(photo, "before");
    if (photo.result && photo.thumbnailOf !== photo.result) {
      photo.thumbnailOf = photo.result;
      thumbnails.want(photo, "after");
    }
  }

  function add(photo) {
    const tile = makeTile(photo, act);
    tiles.set(photo, tile);
    list.append(tile);
    watcher.observe(tile);
    drawTile(tile, photo);
  }

  function remove(photo) {
    const tile = tiles.get(photo);
    const next = tile.nextElementSibling ?? tile.previousElementSibling;
    if (tile.contains(document.activeElement)) next?.querySelector(".open").focus();
    watcher.unobserve(tile);
    tile.remove();
    tiles.delete(photo);
    inView.delete(photo);
    if (!list.querySelector(".open[tabindex='0']")) activate(list.firstElementChild);
  }

  photos.addEventListener("add", ({ detail }) => {
    detail.photos.forEach(add);
    if (!list.querySelector(".open[tabindex='0']")) activate(list.firstElementChild);
  });
  photos.addEventListener("update", ({ detail: { photo } }) => {
    drawTile(tiles.get(photo), photo);
    wantThumbnails(photo);
  });
  photos.addEventListener("thumbnail", ({ detail }) => drawThumbnail(tiles.get(detail.photo), detail.photo));
  photos.addEventListener("remove", ({ detail }) => remove(detail.photo));
  photos.addEventListener("clear", () => {
    watcher.disconnect();
    list.replaceChildren();
    tiles.clear();
    inView.clear();
  });

  // One stop of the Tab key for all tiles: arrows go from one to the next.
  list.addEventListener("focusin", ({ target }) => activate(target.closest(".photo")));
  list.addEventListener("keydown", (event) => moveFocus(event, list, act));

  return () => tiles.forEach((tile, photo) => drawTile(tile, photo));
}

function makeTile(photo, act) {
  const button = (kind, glyph) =>
    element("button", { class: `quiet icon ${kind}`, tabindex: "-1", onclick: () => act[kind](photo) }, icon(glyph));
  const tile = element(
    "li",
    { class: "photo" },
    element(
      "button",
      { class: "open", tabindex: "-1", onclick: () => act.open(photo) },
      element(
        "span",
        { class: "thumb" },
        element("img", { class: "thumb-before", alt: "", hidden: true }),
        element("img", { class: "thumb-after", alt: "", hidden: true }),
      ),
    ),
    element("span", { class: "photo-name", title: photo.name }, photo.name),
    element("span", { class: "photo-state" }),
    element("div", { class: "photo-actions" }, button("retry", "again"), button("save", "down"), button("remove", "close")),
  );
  tile.photo = photo;
  return tile;
}

function drawTile(tile, photo) {
  tile.dataset.state = photo.state;
  const state = t(`state.${photo.state}`);
  const failed = photo.state === "failed";
  const words = failed ? `${faultTitle(photo.error)}. ${photo.error.detail}` : state;
  tile.querySelector(".photo-state").textContent = words;
  tile.querySelector(".photo-state").title = failed ? words : "";
  tile.querySelector(".open").setAttribute("aria-label", t("photo.open", { name: photo.name, state: words }));
  for (const kind of ["retry", "save", "remove"]) {
    const button = tile.querySelector(`.${kind}`);
    button.setAttribute("aria-label", t(`photo.${kind}`, { name: photo.name }));
    button.title = t(`photo.${kind}`, { name: photo.name });
  }
  tile.querySelector(".retry").hidden = !["failed", "stopped"].includes(photo.state);
  tile.querySelector(".save").hidden = !photo.result;
  drawThumbnail(tile, photo);
}

function drawThumbnail(tile, photo) {
  // Until its picture is there, a photo that is done still shows the original.
  tile.classList.toggle("has-cutout", Boolean(photo.thumbnails.after));
  for (const which of ["before", "after"]) {
    const image = tile.querySelector(`.thumb-${which}`);
    const url = photo.thumbnails[which];
    image.hidden = !url;
    if (url && image.src !== url) image.src = url;
  }
}

function activate(tile) {
  if (!tile) return;
  for (const button of tile.parentElement.querySelectorAll("[tabindex='0']")) button.tabIndex = -1;
  for (const button of tile.querySelectorAll("button")) button.tabIndex = 0;
}

function moveFocus(event, list, act) {
  const tile = event.target.closest(".photo");
  if (!tile || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Delete") return void act.remove(tile.photo);
  const tiles = [...list.children];
  const columns = getComputedStyle(list).gridTemplateColumns.split(" ").length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  const ends = { Home: 0, End: tiles.length - 1 };
  const index = step === undefined ? ends[event.key] : tiles.indexOf(tile) + step;
  if (index === undefined || !tiles[index]) return;
  event.preventDefault();
  tiles[index].querySelector(".open").focus();
}
