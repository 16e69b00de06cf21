// Runs before the first paint, so that neither the theme nor the language flashes.
(() => {
  const root = document.documentElement;
  const read = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null; // storage is switched off: follow the system
    }
  };
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = read("cvunet.theme") ?? (isDark ? "dark" : "light");
  const language = read("cvunet.language") || navigator.language || "en";
  root.lang = language.toLowerCase().startsWith("zh") ? "zh-Hans" : "en";
})();
