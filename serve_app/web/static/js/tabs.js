// The tabs, as the ARIA practices describe them; the address remembers which one is open.

import { byId } from "./dom.js";

const PLACES = { "tab-work": "#cut-out", "tab-api": "#api", "tab-about": "#about" };

/** draw(id) is called each time a tab comes to the front. */
export function startTabs(draw) {
  const tabs = Object.keys(PLACES).map(byId);

  const current = () => tabs.find((tab) => tab.tabIndex === 0);

  function open(tab) {
    for (const each of tabs) {
      const isOpen = each === tab;
      each.setAttribute("aria-selected", String(isOpen));
      each.tabIndex = isOpen ? 0 : -1;
      byId(each.getAttribute("aria-controls")).hidden = !isOpen;
    }
    draw(tab.id);
  }

  // Other fragments are places within a tab, such as a skip link's.
  const fromAddress = () => {
    const named = tabs.find((tab) => PLACES[tab.id] === (location.hash || "#cut-out"));
    if (named) open(named);
  };

  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener("click", () => {
      if (tab === current()) return;
      history.pushState(null, "", PLACES[tab.id]);
      open(tab);
    });
    tab.addEventListener("keydown", ({ key }) => {
      const to = { ArrowRight: index + 1, ArrowLeft: index - 1, Home: 0, End: -1 }[key];
      if (to === undefined) return;
      const next = tabs.at(to % tabs.length);
      next.focus();
      next.click();
    });
  }
  addEventListener("hashchange", fromAddress);
  open(tabs[0]);
  fromAddress();

  return { openWork: () => tabs[0].click() };
}
