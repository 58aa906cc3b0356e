// Maps values to shades from 0 to 1, and draws their legend.

import { el, number } from "../dom.js";

export const scale = (values) => ({ least: Math.min(...values), most: Math.max(...values) });

export const shade = ({ least, most }, value) =>
  most > least ? Math.min(Math.max((value - least) / (most - least), 0), 1) : 0.5;

export const legend = ({ least, most }) =>
  el(
    "div",
    {
      class: "legend",
      role: "img",
      "aria-label": `Colours from ${number(least, 2)} (palest) to ${number(most, 2)} (strongest)`,
    },
    el("span", {}, number(least, 2)),
    el("span", { class: "ramp" }),
    el("span", {}, number(most, 2)),
    el("span", { class: "unit" }, "cosine"),
  );
