// Another option means another request: made by itself, with the files that are here already.

const WAIT_MS = 350; // a preset and two sliders in a row are one change
const AT_MOST = 12; // more photos than this are updated when the user says so

/** onStage() gives the photo that is looked at, or null. */
export function startRerun(photos, queue, options, onStage) {
  let timer = 0;

  const stale = () =>
    photos.in("done").filter((photo) => photo.result.fingerprint !== options.fingerprint);

  function rerun() {
    const looked = onStage();
    const isAffected = (photo) => photo === looked || photo.state === "working";
    const all = photos.size <= AT_MOST ? stale() : [];
    const again = new Set([...photos.all.filter(isAffected), ...all]);
    // What is stopped stays stopped, and what waits will be made with the new options anyway.
    const skipped = ["stopped", "queued"];
    const list = [...again].filter(
      (photo) => !skipped.includes(photo.state) && !isFresh(photo),
    );
    const first = list.filter((photo) => photo === looked);
    queue.add([...first, ...list.filter((photo) => photo !== looked)], { first: true });
  }

  const isFresh = (photo) => photo.state !== "failed" && photo.asked === options.fingerprint;

  options.addEventListener("change", ({ detail }) => {
    if (detail.local) return;
    clearTimeout(timer);
    timer = setTimeout(rerun, WAIT_MS);
  });

  return { stale, refresh: () => queue.add(stale()) };
}
