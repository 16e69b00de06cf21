// What the browser remembers between visits; nothing, where storage is switched off.

export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Not remembered then: the choice still holds for this visit.
  }
}
