// Tabs as in the ARIA practices: one Tab stop; arrow keys, Home and End move between tabs and open them.

import { byId, el } from "./dom.js";

/** Draw a tab for each panel. Returns `choose(id)`, which also calls `chosen(panel)`. */
export function makeTabs(panels, chosen) {
  const tabs = panels.map((panel) =>
    el(
      "button",
      { type: "button", role: "tab", id: `tab-${panel.id}`, "aria-controls": "panel", onclick: () => choose(panel.id) },
      panel.label,
    ),
  );
  byId("tabs").append(...tabs);
  byId("tabs").addEventListener("keydown", (event) => {
    const at = tabs.indexOf(document.activeElement);
    const last = tabs.length - 1;
    const next = { ArrowRight: at === last ? 0 : at + 1, ArrowLeft: at === 0 ? last : at - 1, Home: 0, End: last }[
      event.key
    ];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    tabs[next].focus();
    choose(panels[next].id);
  });

  function choose(id) {
    const index = Math.max(
      panels.findIndex((panel) => panel.id === id),
      0,
    );
    tabs.forEach((tab, place) => {
      tab.setAttribute("aria-selected", String(place === index));
      tab.tabIndex = place === index ? 0 : -1;
    });
    byId("panel").setAttribute("aria-labelledby", tabs[index].id);
    byId("tabs").scrollTo({ left: tabs[index].offsetLeft - 24 });
    chosen(panels[index]);
  }
  return choose;
}
