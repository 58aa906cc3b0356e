// Not a module, so it runs before the first paint and the page does not flash in the other colours.
"use strict";
(() => {
  const kept = "twofold-theme";
  const root = document.documentElement;
  const dark = () =>
    (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  // A browser that blocks storage throws an error; the choice then lasts only as long as the page is open.
  try {
    const theme = localStorage.getItem(kept);
    if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  } catch {}

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(dark()));
    button.addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem(kept, root.dataset.theme);
      } catch {}
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
  });
})();
