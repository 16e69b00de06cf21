// Cropping to the subject, with the rules of the service: margins as in CSS, px or % of the subject.

const LENGTH = /^(\d+(?:\.\d+)?)(px|%)?$/;

/** "10px 5%" -> four [value, unit]: top, right, bottom, left. null where it is no margin. */
export function parseMargin(text) {
  const parts = text.trim().split(/\s+/).map((part) => part.match(LENGTH));
  if (![1, 2, 4].includes(parts.length) || parts.includes(null)) return null;
  const lengths = parts.map(([, value, unit = "px"]) => [Number(value), unit]);
  const [top, right = top, bottom = top, left = right] = lengths;
  return [top, right, bottom, left];
}

/** The rectangle to keep: the subject and its margin, within the picture. */
export function cropBox({ width, height, foreground }, isCropped, marginText) {
  const whole = { left: 0, top: 0, width, height };
  const margin = parseMargin(marginText);
  if (!isCropped || !margin || !foreground.width) return whole;
  const px = ([value, unit], side) => roundHalfEven(unit === "%" ? (value * side) / 100 : value);
  const [top, right, bottom, left] = margin;
  const x0 = Math.max(0, foreground.left - px(left, foreground.width));
  const y0 = Math.max(0, foreground.top - px(top, foreground.height));
  const x1 = Math.min(width, foreground.left + foreground.width + px(right, foreground.width));
  const y1 = Math.min(height, foreground.top + foreground.height + px(bottom, foreground.height));
  return { left: x0, top: y0, width: x1 - x0, height: y1 - y0 };
}

/** As Python rounds, so that the crop is the service's to the pixel. */
function roundHalfEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}
