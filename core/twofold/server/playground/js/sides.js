// The two sides of a model, and which side each text is embedded on.

import { el } from "./dom.js";
import { vectorsOf } from "./vectors.js";

/** Whether questions and passages are embedded differently. */
export const hasSides = (model) => model.twoSided;

export const noSides = (model) =>
  el(
    "div",
    { class: "notice" },
    el("strong", {}, `${model.id} has only one side.`),
    " It embeds questions and passages in the same way, so no choice of sides changes the ranking below.",
  );

export const OWN = "own sides";

/** The choices of a panel that shows all texts at once: each on its own side, or all under one task. */
export const views = (model) => [
  [OWN, hasSides(model) ? "questions as queries, passages as documents" : "all in the same way"],
  ...model.tasks.map((task) => [task, `all as ${task}`]),
];

/** The vectors of the questions and of the passages under the chosen view. */
export async function viewed({ model, questions, passages }, view, job) {
  const task = (own) => (view === OWN ? own : view);
  return {
    questions: await vectorsOf(model, questions, task(model.sides.query), job),
    passages: await vectorsOf(model, passages, task(model.sides.document), job),
  };
}

/** The same two calls in Python. */
export function viewedInPython(call, view) {
  return view === OWN
    ? { questions: call.queries("questions"), passages: call.documents("passages") }
    : { questions: call.task("questions", view), passages: call.task("passages", view) };
}
