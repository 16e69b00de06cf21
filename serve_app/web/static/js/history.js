// The browser's Back and Forward: Back leads from a photo to all of them, and not off the page.

const WORK = ["", "#cut-out"]; // where the address says that photos are shown; tabs.js has the others

export function startHistory(photos, workspace) {
  history.replaceState(null, ""); // a reloaded page has no photo to go back to

  workspace.addEventListener("show", () => {
    const from = history.state?.photo ?? null;
    const to = photos.size > 1 ? (workspace.photo?.id ?? null) : null;
    if (to === from) return;
    if (!to) history.back();
    else if (from) history.replaceState({ photo: to }, "");
    else history.pushState({ photo: to }, "");
  });

  // It comes for links within the page, too, which move nothing but the focus.
  addEventListener("popstate", ({ state }) => {
    if (!WORK.includes(location.hash) || (state?.photo ?? null) === workspace.photo?.id) return;
    const photo = photos.all.find(({ id }) => id === state?.photo);
    if (photo) workspace.show(photo);
    else if (photos.size > 1 && workspace.photo) workspace.showAll();
  });
}
