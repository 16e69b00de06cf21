// A preset may bring its own background and format: an ID photo is a JPEG on white.

/** Follow the presets, and take back what one brought when the next doesn't want it. */
export function startPresetLook(options, background, save) {
  let preset = options.preset;
  const brought = { background: null, format: null };

  options.addEventListener("change", () => {
    if (options.preset === preset) return;
    preset = options.preset;
    const look = options.fromPreset("background");
    const format = options.fromPreset("format");
    const isStill = background.kind === "color" && background.color === brought.background;
    if (look !== "transparent") background.setFromText(look);
    else if (isStill) background.setTransparent();
    brought.background = look === "transparent" ? null : background.color;
    const formats = ["png", "webp", "jpeg"];
    if (formats.includes(format)) save.setFormat(format);
    else if (save.format === brought.format) save.setFormat("png");
    brought.format = formats.includes(format) ? format : null;
  });
}
