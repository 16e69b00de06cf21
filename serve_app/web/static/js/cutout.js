// One photo's way to the server and back, and what its answer says.

import { Problem, requestMatting } from "./api.js";
import { bytes, t } from "./language.js";

const FIXED = [["output", "cutout"], ["format", "png"]]; // any background and format is made from it

/** The fields of the call that brings a photo's cutout. */
export function cutoutFields(options, photo) {
  const trimap = photo.trimap ? [["trimap", photo.trimap]] : [];
  return [...options.fields(), ...FIXED, ...trimap];
}

/** Ask for a photo's cutout; what is too large for the server is refused before it travels. */
export async function cutOut(photo, options, limits, signal) {
  if (photo.file.size > limits.max_bytes) {
    const values = { size: bytes(photo.file.size), limit: bytes(limits.max_bytes) };
    throw new Problem({ code: "file_too_large", detail: t("error.local-size", values) });
  }
  const fields = cutoutFields(options, photo);
  const { fingerprint } = options;
  photo.asked = fingerprint;
  const start = performance.now();
  const onSent = (part) => (photo.sent = part);
  const { blob, headers } = await requestMatting(photo.file, fields, { signal, onSent });
  const seconds = (performance.now() - start) / 1000;
  const size = await pngSize(blob);
  const result = {
    blob,
    ...size,
    fields,
    fingerprint,
    seconds,
    foreground: foregroundOf(headers),
    headers: [...headers].filter(([name]) => /^(x-|server-timing|content-type)/.test(name)),
  };
  return { result };
}

function foregroundOf(headers) {
  const value = (name) => Number(headers.get(`X-Foreground-${name}`) ?? 0);
  return {
    top: value("Top"),
    left: value("Left"),
    width: value("Width"),
    height: value("Height"),
  };
}

/** Width and height stand at bytes 16 to 23 of every PNG: no need to decode it. */
async function pngSize(blob) {
  const view = new DataView(await blob.slice(16, 24).arrayBuffer());
  return { width: view.getUint32(0), height: view.getUint32(4) };
}
