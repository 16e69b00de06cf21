// What the browser remembers, between visits or for this tab; nothing, where storage is switched off.

export const recall = (key) => attempt(() => localStorage.getItem(key));
export const remember = (key, value) => attempt(() => localStorage.setItem(key, value));

export const recallInTab = (key) => attempt(() => sessionStorage.getItem(key));
export const rememberInTab = (key, value) => attempt(() => sessionStorage.setItem(key, value));

function attempt(use) {
  try {
    return use();
  } catch {
    return null; // the choice then holds until the page is left
  }
}
