// A map of the texts by the first two principal components of their vectors.

import { byId, choice, el, number, percent, shorten, svg } from "../dom.js";
import { pca } from "../pca.js";
import { calls, list, program } from "../python.js";
import { OWN, viewed, viewedInPython, views } from "../sides.js";

const [MOST, EDGE] = [720, 46]; // the largest width of the drawing, and its margins
const LABEL = { chars: 26, width: 6.6, height: 15 }; // the size of a label, in the drawing's units

let view = OWN;

async function run(input, job) {
  const { model, questions, passages } = input;
  if (view !== OWN && !model.tasks.includes(view)) view = OWN;
  const vectors = await viewed(input, view, job);
  const { points, shares } = pca([...vectors.questions, ...vectors.passages]);
  const texts = [
    ...questions.map((text) => ({ text, kind: "query" })),
    ...passages.map((text) => ({ text, kind: "passage" })),
  ];
  const chosen = choice("Embedded", views(model), view, (value) => {
    view = value;
    input.rerun();
  });
  const area = areaOf(byId("view").clientWidth);
  const placed = place(points, area);
  return [
    el(
      "div",
      { class: "choices" },
      chosen,
      el(
        "p",
        { class: "keys" },
        el("i", { class: "mark query" }),
        "question",
        el("i", { class: "mark passage" }),
        "passage",
      ),
    ),
    el("figure", { class: "map" }, draw(texts, placed, area), caption(shares)),
    coordinates(texts, points),
  ];
}

/** A drawing as wide as the page allows, so that its letters have the same size as those of the page. */
function areaOf(room) {
  const width = Math.min(Math.max(room - 18, 260), MOST);
  return { width, height: Math.round(Math.max(width * 0.62, 340)) };
}

/** The points in the drawing. Both axes have the same scale, so distances can be compared. */
function place(points, { width, height }) {
  const [xs, ys] = [0, 1].map((k) => points.map((point) => point[k]));
  const middle = (values) => (Math.min(...values) + Math.max(...values)) / 2;
  const spread = (values) => Math.max(...values) - Math.min(...values) || 1e-9;
  const unit = Math.min((width - 2 * EDGE) / spread(xs), (height - 2 * EDGE) / spread(ys));
  return points.map(([x, y]) => [width / 2 + (x - middle(xs)) * unit, height / 2 - (y - middle(ys)) * unit]);
}

function draw(texts, placed, area) {
  const taken = placed.map(([x, y]) => ({ left: x - 7, right: x + 7, top: y - 7, bottom: y + 7 }));
  const dots = texts.map(({ text, kind }, index) => {
    const [x, y] = placed[index];
    const label = room(shorten(text, LABEL.chars), x, y, taken, area);
    const shape =
      kind === "query" ? svg("path", { d: `M${x} ${y - 8}l8 8l-8 8l-8 -8z` }) : svg("circle", { cx: x, cy: y, r: 6 });
    const words = label && svg("text", { x: label.x, y: label.y, "text-anchor": label.anchor }, label.text);
    return svg(
      "g",
      {
        class: `point ${kind}`,
        tabindex: 0,
        role: "img",
        "aria-label": `${kind === "query" ? "Question" : "Passage"}: ${text}`,
      },
      svg("title", {}, text),
      shape,
      words,
    );
  });
  return svg(
    "svg",
    { viewBox: `0 0 ${area.width} ${area.height}`, role: "group", "aria-label": "Map of the texts" },
    dots,
  );
}

/** A free place for a label beside its point, or null; the text is then only in the tooltip. */
function room(text, x, y, taken, area) {
  const width = columns(text) * LABEL.width;
  const tries = [
    { anchor: "start", x: x + 12, y: y + 4 },
    { anchor: "end", x: x - 12, y: y + 4 },
    { anchor: "middle", x, y: y - 13 },
    { anchor: "middle", x, y: y + 22 },
  ];
  for (const one of tries) {
    const left = one.x - { start: 0, middle: width / 2, end: width }[one.anchor];
    const box = { left, right: left + width, top: one.y - LABEL.height + 4, bottom: one.y + 4 };
    const inside = box.left >= 0 && box.right <= area.width && box.top >= 0 && box.bottom <= area.height;
    if (inside && !taken.some((other) => meets(box, other))) {
      taken.push(box);
      return { ...one, text };
    }
  }
  return null;
}

/** The number of columns of a text: Chinese, Japanese and Korean characters take two. */
const columns = (text) => [...text].reduce((sum, sign) => sum + (sign > "\u2e7f" ? 2 : 1), 0);

const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

const caption = (shares) =>
  el(
    "figcaption",
    {},
    `The two axes show ${percent(shares[0] + shares[1])} of the variance of these vectors (${percent(shares[0])} across, ${percent(shares[1])} up). `,
    "Distant points are different texts. Close points may still differ in directions that the map does not show.",
  );

const coordinates = (texts, points) =>
  el(
    "details",
    { class: "more" },
    el("summary", {}, "The points as a table"),
    el(
      "table",
      { class: "grid points" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          ["text", "across", "up"].map((name) => el("th", { scope: "col" }, name)),
        ),
      ),
      el(
        "tbody",
        {},
        texts.map(({ text }, index) =>
          el(
            "tr",
            {},
            el("th", { scope: "row" }, text),
            points[index].map((value) => el("td", { "data-value": value }, number(value))),
          ),
        ),
      ),
    ),
  );

function python({ model, questions, passages }, where) {
  const call = calls(where, model);
  const of = viewedInPython(call, view);
  const vectors = questions.length ? `np.concatenate([${of.questions}, ${of.passages}])` : of.passages;
  const lines = `vectors = ${vectors}
centred = vectors - vectors.mean(axis=0)
_, _, axes = np.linalg.svd(centred, full_matrices=False)
points = centred @ axes[:2].T
points *= np.sign(points[np.abs(points).argmax(axis=0), range(points.shape[1])])  # the farthest point is on the positive side
for text, point in zip(questions + passages, points, strict=True):
    print(*(f"{value:7.3f}" for value in point), text)`;
  return program(
    call,
    [`${list("questions", questions)}\n${list("passages", passages)}`, lines],
    ["import numpy as np"],
  );
}

export default {
  id: "map",
  label: "Map",
  about: "Every text as a point, placed by the first two principal components: the directions in which the vectors differ most.",
  least: { questions: 0, passages: 3 },
  run,
  python,
};
