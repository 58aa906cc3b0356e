// A heat map of similarities: questions by passages, or all texts by all texts.

import { choice, el, number, shorten } from "../dom.js";
import { similarities } from "../maths.js";
import { calls, list, program } from "../python.js";
import { OWN, viewed, viewedInPython, views } from "../sides.js";
import { legend, scale, shade } from "./heat_scale.js";

const NUMBERS = 14; // with more columns, the numbers are only in the tooltips

let view = OWN;
let what = "across";

async function run(input, job) {
  const { model, questions, passages } = input;
  if (view !== OWN && !model.tasks.includes(view)) view = OWN;
  const vectors = await viewed(input, view, job);
  const asked = questions.map((text, index) => ({
    text,
    name: `Q${index + 1}`,
    kind: "query",
    vector: vectors.questions[index],
  }));
  const given = passages.map((text, index) => ({
    text,
    name: `P${index + 1}`,
    kind: "passage",
    vector: vectors.passages[index],
  }));
  const across = what === "across" && asked.length > 0;
  const [rows, columns] = across
    ? [asked, given]
    : [
        [...asked, ...given],
        [...asked, ...given],
      ];
  const choices = el(
    "div",
    { class: "choices" },
    choice(
      "Show",
      [
        ["across", "questions × passages"],
        ["all", "all texts × all texts"],
      ],
      across ? "across" : "all",
      (value) => {
        what = value;
        input.rerun();
      },
    ),
    choice("Embedded", views(model), view, (value) => {
      view = value;
      input.rerun();
    }),
  );
  return [choices, ...table(rows, columns, across)];
}

function table(rows, columns, across) {
  const found = similarities(
    rows.map((row) => row.vector),
    columns.map((column) => column.vector),
  );
  // The similarity of a text with itself is always 1. In the colour scale it would make all other cells pale.
  const told = found.flatMap((row, i) => row.filter((_, j) => across || i !== j));
  const range = scale(told.length ? told : [0, 1]);
  const numbers = columns.length <= NUMBERS;
  const body = rows.map((row, i) =>
    el(
      "tr",
      {},
      el(
        "th",
        { scope: "row" },
        mark(row),
        el("span", { class: "name" }, row.name),
        el("span", { class: "label" }, shorten(row.text, 70)),
      ),
      columns.map((column, j) => {
        const same = !across && i === j;
        const words = `${number(found[i][j])} · ${row.text} · ${column.text}`;
        const cell = {
          class: same ? "heat same" : "heat",
          "--share": shade(range, found[i][j]),
          title: words,
          "data-score": found[i][j],
        };
        return el("td", cell, el("span", { class: numbers ? "" : "hidden" }, number(found[i][j], 2)));
      }),
    ),
  );
  const head = columns.map((column) => el("th", { scope: "col", title: column.text }, mark(column), column.name));
  return [
    legend(range),
    el(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": "Heat map of similarities" },
      el(
        "table",
        { class: numbers ? "grid heatmap" : "grid heatmap small" },
        el("thead", {}, el("tr", {}, el("td", {}), head)),
        el("tbody", {}, body),
      ),
    ),
    across &&
      el(
        "ol",
        { class: "key-list" },
        columns.map((column) => el("li", {}, el("span", { class: "name" }, column.name), column.text)),
      ),
  ];
}

const mark = ({ kind }) => el("i", { class: `mark ${kind}`, "aria-hidden": "true" });

function python(input, where) {
  const { model, questions, passages } = input;
  const call = calls(where, model);
  const of = viewedInPython(call, view);
  const across = what === "across" && questions.length > 0;
  const lines = across
    ? `scores = ${of.questions} @ ${of.passages}.T`
    : `vectors = ${questions.length ? `np.concatenate([${of.questions}, ${of.passages}])` : of.passages}\nscores = vectors @ vectors.T`;
  const more = across ? [] : ["import numpy as np"];
  const print = 'for row in scores:\n    print(" ".join(f"{score:6.3f}" for score in row))';
  return program(call, [`${list("questions", questions)}\n${list("passages", passages)}`, `${lines}\n${print}`], more);
}

export default {
  id: "heat",
  label: "Heat map",
  about: "The cosine of every pair of texts. A good setting gives a few strong cells and many pale ones.",
  least: { questions: 0, passages: 2 },
  run,
  python,
};
