// The photo's own background, blurred, with nothing of the subject in it.
//
// The same as the service's `background=blur`: each pixel is the mean of the background pixels
// around it (normalised convolution), worked out small, since nothing fine is left in it.

const SIDE = 256; // px, the longest side of the small picture
const FAR = 8; // the wider of the two means, for pixels with no background near them
const NEAR_WEIGHT = 1e-2;

/** Give a canvas, at most 256 px a side, to be stretched over the photo. */
export function blurredBackground(original, cutout) {
  const scale = Math.min(1, SIDE / Math.max(cutout.width, cutout.height));
  const width = Math.max(1, Math.round(cutout.width * scale));
  const height = Math.max(1, Math.round(cutout.height * scale));
  const colour = pixels(original, width, height);
  const subject = dilate(pixels(cutout, width, height), width, height);
  const sigma = Math.max(width, height) / 40;
  const seen = planes(colour, subject);
  const near = seen.map((plane) => gaussian(plane, width, height, sigma));
  const wide = seen.map((plane) => gaussian(plane, width, height, sigma * FAR));

  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const farWeight = Math.max(wide[3][i], 1e-6);
    const weight = near[3][i] + NEAR_WEIGHT;
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = (near[c][i] + (NEAR_WEIGHT * wide[c][i]) / farWeight) / weight;
    }
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function pixels(source, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** Where the subject is, two pixels wider than it is: its edge holds its colour too. */
function dilate(rgba, width, height) {
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!rgba[4 * (y * width + x) + 3]) continue;
      for (let v = Math.max(0, y - 2); v <= Math.min(height - 1, y + 2); v++) {
        out.fill(1, v * width + Math.max(0, x - 2), v * width + Math.min(width, x + 3));
      }
    }
  }
  return out;
}

/** Red, green, blue where background is seen, and the weight of what is seen. */
function planes(rgba, subject) {
  const count = subject.length;
  const out = [0, 1, 2, 3].map(() => new Float32Array(count));
  for (let i = 0; i < count; i++) {
    if (subject[i]) continue;
    for (let c = 0; c < 3; c++) out[c][i] = rgba[4 * i + c];
    out[3][i] = 1;
  }
  return out;
}

/** A Gaussian as three box means (Wells 1986); the border is mirrored, as OpenCV does. */
function gaussian(plane, width, height, sigma) {
  const radius = Math.max(1, Math.round((Math.sqrt(4 * sigma * sigma + 1) - 1) / 2));
  let out = plane;
  for (let pass = 0; pass < 3; pass++) {
    out = boxes(out, height, width, width, 1, radius); // along rows
    out = boxes(out, width, height, 1, width, radius); // along columns
  }
  return out;
}

function boxes(plane, lines, length, lineStep, step, radius) {
  const out = new Float32Array(plane.length);
  const period = 2 * Math.max(1, length - 1);
  const mirror = (i) => {
    const j = Math.abs(i) % period;
    return j < length ? j : period - j;
  };
  for (let line = 0; line < lines; line++) {
    const start = line * lineStep;
    const at = (i) => plane[start + mirror(i) * step];
    let sum = 0;
    for (let i = -radius; i <= radius; i++) sum += at(i);
    for (let i = 0; i < length; i++) {
      out[start + i * step] = sum / (2 * radius + 1);
      sum += at(i + radius + 1) - at(i - radius);
    }
  }
  return out;
}
