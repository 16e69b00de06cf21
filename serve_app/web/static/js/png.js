// A grey PNG, which a canvas cannot write: one byte a pixel, as every program expects of a mask.

import { crc32 } from "./crc32.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const GREY = 0;

/** Encode grey (a Uint8Array, row after row) as an 8-bit greyscale PNG. */
export async function greyPng(grey, width, height) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, GREY, 0, 0, 0], 8);
  const parts = [chunk("IHDR", header), chunk("IDAT", await deflate(filtered(grey, width, height)))];
  return new Blob([new Uint8Array(SIGNATURE), ...parts, chunk("IEND", new Uint8Array())], {
    type: "image/png",
  });
}

/** Each row as its difference to the one above ("Up"): a matte is mostly flat. */
function filtered(grey, width, height) {
  const out = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) {
    const row = y * width;
    const at = y * (width + 1);
    out[at] = 2;
    for (let x = 0; x < width; x++) {
      out[at + 1 + x] = grey[row + x] - (y ? grey[row - width + x] : 0);
    }
  }
  return out;
}

async function deflate(data) {
  // "deflate" is the zlib wrapping (RFC 1950), which is what IDAT holds.
  const stream = new Blob([data]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function chunk(type, data) {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set([...type].map((letter) => letter.charCodeAt(0)), 4);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}
