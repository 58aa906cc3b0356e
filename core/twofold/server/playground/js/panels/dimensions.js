// Dimensions: how a shorter vector changes the ranking, and how many bytes it saves.

import { byId, el, number, percent } from "../dom.js";
import { cut, kendall, mean, overlap, ranking, similarities } from "../maths.js";
import { calls, list, printRanking, program } from "../python.js";
import { vectorsOf } from "../vectors.js";
import { curve } from "./curve.js";
import { byQuestion, questionShown } from "./question.js";
import { rankedPair } from "./ranked.js";

const BYTES = 4; // per float32
const MILLION = 1e6;

let size = null;

async function run(input, job) {
  const { model, questions, passages } = input;
  const asked = await vectorsOf(model, questions, model.sides.query, job);
  const given = await vectorsOf(model, passages, model.sides.document, job);
  const width = asked[0].length;
  size = Math.min(size ?? Math.ceil(width / 4), width);
  const at = (dimensions) =>
    similarities(
      asked.map((vector) => cut(vector, dimensions)),
      given.map((vector) => cut(vector, dimensions)),
    );
  const full = at(width);
  const costs = sizesOf(model, width).map((dimensions) => ({ dimensions, ...cost(full, at(dimensions)) }));
  const drawn = el("div", { class: "drawn" });
  const draw = () => drawn.replaceChildren(...results(input, { full, now: at(size), width, costs }));
  draw();
  return [
    trained(model),
    slider(model, width, (value) => {
      size = value;
      draw();
      input.changed();
    }),
    drawn,
  ];
}

/** The sizes of the curve: those the model was trained for, and halves of its width. */
function sizesOf(model, width) {
  const sizes = new Set([...model.sizes, width]);
  for (let half = width / 2; half >= 8; half /= 2) sizes.add(Math.round(half));
  return [...sizes].filter((value) => value <= width).sort((a, b) => a - b);
}

const cost = (full, now) => ({
  order: mean(full.map((scores, index) => kendall(scores, now[index]))),
  first: mean(full.map((scores, index) => Number(ranking(scores)[0] === ranking(now[index])[0]))),
  top: mean(full.map((scores, index) => overlap(scores, now[index], 3))),
});

const trained = (model) =>
  el(
    "p",
    { class: "note" },
    "Your browser cuts the full vectors and scales them to unit length, as the option dimensions does. The server is not asked again. ",
    model.sizes.length
      ? `${model.id} was trained to be cut to ${model.sizes.join(", ")}.`
      : el("strong", {}, `${model.id} was not trained to be cut. See how much the ranking changes.`),
  );

/** A slider and a number field with the same value. The slider is logarithmic. */
function slider(model, width, chosen) {
  const slide = el("input", {
    id: "size",
    type: "range",
    min: 0,
    max: Math.log2(width),
    step: "any",
    list: "sizes",
    "aria-valuetext": `${size} dimensions`,
  });
  const exact = el("input", {
    id: "size-exact",
    type: "number",
    min: 1,
    max: width,
    value: size,
    inputmode: "numeric",
    "aria-label": "Dimensions, exactly",
  });
  const ticks = el(
    "datalist",
    { id: "sizes" },
    model.sizes.map((value) => el("option", { value: Math.log2(value) })),
  );
  const set = (value, from) => {
    if (!Number.isInteger(value) || value < 1 || value > width) return;
    if (from !== slide) slide.value = Math.log2(value);
    if (from !== exact) exact.value = value;
    slide.setAttribute("aria-valuetext", `${value} dimensions`);
    if (value !== size) chosen(value);
  };
  slide.value = Math.log2(size);
  slide.addEventListener("input", () => set(near(model, 2 ** slide.value, width), slide));
  // An arrow key moves to the next size of the curve.
  slide.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!way) return;
    event.preventDefault();
    const sizes = sizesOf(model, width);
    set((way > 0 ? sizes.find((value) => value > size) : sizes.findLast((value) => value < size)) ?? size, null);
  });
  exact.addEventListener("input", () => set(exact.valueAsNumber, exact));
  return el(
    "div",
    { class: "slider" },
    el("label", { for: "size" }, "Dimensions"),
    slide,
    ticks,
    exact,
    el("span", { class: "of" }, `of ${width}`),
  );
}

/** Round to a whole size; snap to a size the model was trained for if it is within 4 %. */
function near(model, value, width) {
  const close = [...model.sizes, width].find((one) => Math.abs(one / value - 1) < 0.04);
  return close ?? Math.max(1, Math.min(width, Math.round(value)));
}

function results(input, { full, now, width, costs }) {
  const found = cost(full, now);
  return [
    el(
      "dl",
      { class: "figures" },
      figure("one vector", bytes(size * BYTES), `${percent(size / width)} of ${bytes(width * BYTES)}`),
      figure("a million vectors", bytes(size * BYTES * MILLION), `instead of ${bytes(width * BYTES * MILLION)}`),
      figure("same first passage", percent(found.first), `of ${input.questions.length} questions`),
      figure("same first three", percent(found.top), "compared with the full vectors"),
      figure("same order", number(found.order, 2), "Kendall’s tau; 1 means the same ranking"),
    ),
    curve(costs, { dimensions: size, order: found.order }, byId("view").clientWidth),
    byQuestion(input, () => drawPair(input, full, now, width)),
  ];
}

function drawPair(input, full, now, width) {
  const shown = questionShown(input);
  const side = (dimensions, scores) => ({
    note: `${dimensions * BYTES} bytes per vector`,
    passages: input.passages,
    answer: input.answer(shown),
    scores: scores[shown],
  });
  return rankedPair(
    { title: `All ${width} dimensions`, ...side(width, full) },
    { title: `The first ${size}`, ...side(size, now) },
  );
}

const figure = (name, value, note) =>
  el("div", {}, el("dt", {}, name), el("dd", {}, value), el("dd", { class: "note" }, note));

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let step = 0;
  let value = count;
  for (; value >= 1000 && step < units.length - 1; step += 1) value /= 1000;
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${units[step]}`;
}

function python({ model, questions, passages }, where) {
  const call = calls(where, model, size ?? model.width);
  const scores = `scores = ${call.queries("questions")} @ ${call.documents("passages")}.T`;
  return program(call, [
    `${list("questions", questions)}\n${list("passages", passages)}`,
    `${scores}\n${printRanking("scores")}`,
  ]);
}

export default {
  id: "dimensions",
  label: "Dimensions",
  about:
    "Shorter vectors are cheaper to store and to search. Models trained for this put the most important values first.",
  least: { questions: 1, passages: 2 },
  run,
  python,
};
