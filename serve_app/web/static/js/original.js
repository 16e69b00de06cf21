// The photo as it came, for the "before" side and for the blurred background.

import { requestMatting } from "./api.js";

// Quick and small: only its picture is looked at, not its matte.
const AS_JPEG = [
  ["preset", "preview"],
  ["output", "cutout"],
  ["format", "zip"],
  ["decontaminate", "false"],
  ["background", "transparent"],
  ["size", "4mp"],
];

/** The photo as a Blob that this browser reads: TIFF and others come back from the service as JPEG. */
export async function readableOriginal(photo) {
  photo.readable ??= requestMatting(photo.file, AS_JPEG).then(({ blob }) => firstFile(blob));
  try {
    return await photo.readable;
  } catch (error) {
    photo.readable = undefined; // ask again next time
    throw error;
  }
}

/** Decode the photo at the given size. */
export async function originalBitmap(photo, width, height) {
  const size = { resizeWidth: width, resizeHeight: height, resizeQuality: "high" };
  try {
    return await createImageBitmap(photo.file, size);
  } catch {
    return createImageBitmap(await readableOriginal(photo), size);
  }
}

/** The first file of a ZIP that is stored and not compressed: here, color.jpg. */
async function firstFile(zip) {
  const header = new DataView(await zip.slice(0, 30).arrayBuffer());
  const start = 30 + header.getUint16(26, true) + header.getUint16(28, true);
  return zip.slice(start, start + header.getUint32(18, true), "image/jpeg");
}
