// Ranked lists side by side, with lines between them if there is room.

import { el, number, svg } from "../dom.js";
import { ranking, ranks } from "../maths.js";

function moved(by) {
  if (by === 0) return el("span", { class: "move", title: "same place" }, "=");
  const up = by > 0;
  const words = `${Math.abs(by)} ${Math.abs(by) === 1 ? "place" : "places"} ${up ? "higher" : "lower"}`;
  return el(
    "span",
    { class: `move ${up ? "up" : "down"}`, title: words },
    el("span", { class: "hidden" }, words),
    el("span", { "aria-hidden": "true" }, `${up ? "▲" : "▼"}${Math.abs(by)}`),
  );
}

/** One ranking of `passages`. With `before`, the scores of another ranking, it shows how far each passage moved. */
export function rankedList({ title, note, passages, scores, before, answer }) {
  const earlier = before && ranks(before);
  const rows = ranking(scores).map((item, place) =>
    el(
      "li",
      {
        class: item === answer ? "row answer" : "row",
        "data-item": item,
        "data-score": scores[item],
        title: passages[item],
      },
      el("span", { class: "rank" }, place + 1),
      el("span", { class: "text" }, item === answer && el("span", { class: "tag" }, "answer"), passages[item]),
      el("span", { class: "value" }, number(scores[item])),
      earlier && moved(earlier[item] - (place + 1)),
      el("span", { class: "bar", "--share": Math.max(scores[item], 0), "aria-hidden": "true" }),
    ),
  );
  return el("section", { class: "ranked" }, el("h3", {}, title), el("p", { class: "note" }, note), el("ol", {}, rows));
}

/** Lines from each passage's place in the left ranking to its place in the right one. */
function slopes(left, right, answer) {
  const from = ranks(left);
  const to = ranks(right);
  const lines = from.map((rank, item) => {
    const [a, b] = [rank - 0.5, to[item] - 0.5];
    const kind = item === answer ? "answer" : a === b ? "level" : "";
    return svg("path", { class: `slope ${kind}`, "data-item": item, d: `M0 ${a}C45 ${a} 55 ${b} 100 ${b}` });
  });
  return svg(
    "svg",
    {
      class: "slopes",
      viewBox: `0 0 100 ${left.length}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      "--rows": left.length,
    },
    lines,
  );
}

/** Two rankings side by side. Pointing at a passage highlights it in both. */
export function rankedPair(left, right) {
  const pair = el(
    "div",
    { class: "pair" },
    rankedList(left),
    slopes(left.scores, right.scores, left.answer),
    rankedList({ ...right, before: left.scores }),
  );
  const light = (item) => {
    for (const node of pair.querySelectorAll("[data-item]"))
      node.classList.toggle("lit", item != null && node.dataset.item === item);
  };
  pair.addEventListener("pointerover", (event) => light(event.target.closest("[data-item]")?.dataset.item));
  pair.addEventListener("pointerleave", () => light(null));
  return pair;
}
