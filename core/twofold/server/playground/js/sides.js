// The two sides of a model, and which texts go in as what.

import { el } from "./dom.js";
import { vectorsOf } from "./vectors.js";

/** Whether a question and a passage go in differently at all. */
export const hasSides = (model) => model.twoSided;

export const noSides = (model) =>
  el(
    "div",
    { class: "notice" },
    el("strong", {}, `${model.id} has no two sides.`),
    " A question and a passage go into it in the same way, so there is no wrong side: whatever stands first below stands first for any choice.",
  );

export const OWN = "own sides";

/** The choices of a panel that shows all texts at once: each in its own side, or all under one task. */
export const views = (model) => [
  [OWN, hasSides(model) ? "questions as queries, passages as documents" : "all in the same way: no two sides"],
  ...model.tasks.map((task) => [task, `all as ${task}`]),
];

/** Vectors of the questions and of the passages, as `view` wants them. */
export async function viewed({ model, questions, passages }, view, job) {
  const task = (own) => (view === OWN ? own : view);
  return {
    questions: await vectorsOf(model, questions, task(model.sides.query), job),
    passages: await vectorsOf(model, passages, task(model.sides.document), job),
  };
}

/** The same two lines in Python. */
export function viewedInPython(call, view) {
  return view === OWN
    ? { questions: call.queries("questions"), passages: call.documents("passages") }
    : { questions: call.task("questions", view), passages: call.task("passages", view) };
}
