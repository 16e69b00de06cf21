// The file to save: cutout, background, crop and format put together in the browser.

import { requestMatting } from "./api.js";
import { blurredBackground } from "./blur.js";
import { cropBox } from "./crop.js";
import { originalBitmap } from "./original.js";
import { greyPng } from "./png.js";

/** The canvas of this browser is too small for the picture. */
export class TooLarge extends Error {}

/**
 * The picture as it is seen.
 * settings: { background, format, quality, isCropped, margin }
 */
export async function picture(photo, settings) {
  const { result } = photo;
  const box = cropBox(result, settings.isCropped, settings.margin);
  const isWhole = box.width === result.width && box.height === result.height;
  if (settings.background.kind === "transparent" && settings.format === "png" && isWhole) {
    return result.blob; // byte for byte what the service made
  }
  const cutout = await createImageBitmap(result.blob);
  const canvas = canvasOf(box);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.translate(-box.left, -box.top);
  await drawBackground(context, photo, cutout, settings);
  context.drawImage(cutout, 0, 0);
  cutout.close();
  return encoded(canvas, settings.format, settings.quality);
}

/** The alpha alone, as 8-bit grey, under the same crop. */
export async function mask(photo, settings) {
  const { result } = photo;
  const hasShadow = result.fields.some(([name]) => name === "shadow");
  if (hasShadow) return serviceMask(photo, settings); // the cutout's alpha holds the shadow too
  const box = cropBox(result, settings.isCropped, settings.margin);
  const cutout = await createImageBitmap(result.blob);
  const canvas = canvasOf(box);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(cutout, -box.left, -box.top);
  cutout.close();
  const { data } = context.getImageData(0, 0, box.width, box.height);
  const alpha = new Uint8Array(box.width * box.height);
  for (let i = 0; i < alpha.length; i++) alpha[i] = data[4 * i + 3];
  canvas.width = 0;
  return greyPng(alpha, box.width, box.height);
}

async function serviceMask({ file, result }, { isCropped, margin }) {
  const crop = isCropped ? [["crop", "true"], ["margin", margin]] : [];
  const fields = result.fields.filter(([name]) => name !== "output" && !name.startsWith("shadow"));
  return (await requestMatting(file, [...fields, ["output", "alpha"], ...crop])).blob;
}

async function drawBackground(context, photo, cutout, { background, format }) {
  const { width, height } = cutout;
  if (background.kind === "color" || (background.kind === "transparent" && format === "jpeg")) {
    context.fillStyle = background.kind === "color" ? background.color : "#ffffff";
    context.fillRect(0, 0, width, height);
  } else if (background.kind === "photo") {
    context.drawImage(background.photo.bitmap, ...cover(background.photo.bitmap, width, height));
  } else if (background.kind === "blur") {
    context.drawImage(await blurOf(photo, cutout), 0, 0, width, height);
  }
}

/** The blurred background of a photo, as a small canvas. */
export async function blurOf(photo, cutout) {
  const scale = Math.min(1, 512 / Math.max(cutout.width, cutout.height));
  const side = (value) => Math.max(1, Math.round(value * scale));
  const original = await originalBitmap(photo, side(cutout.width), side(cutout.height));
  const blurred = blurredBackground(original, cutout);
  original.close();
  return blurred;
}

/** The middle of a picture that covers width x height, as drawImage takes it. */
function cover(picture, width, height) {
  const scale = Math.max(width / picture.width, height / picture.height);
  const [w, h] = [width / scale, height / scale];
  return [(picture.width - w) / 2, (picture.height - h) / 2, w, h, 0, 0, width, height];
}

function canvasOf({ width, height }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

async function encoded(canvas, format, quality) {
  const type = `image/${format}`;
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, type, quality / 100));
  canvas.width = 0; // gives its memory back now and not at the next collection
  if (!blob) throw new TooLarge();
  if (blob.type !== type) throw new TypeError(`this browser cannot write ${type}`);
  return blob;
}
