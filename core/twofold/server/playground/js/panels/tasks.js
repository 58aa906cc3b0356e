// The model's tasks side by side: how each ranks the passages for one question.

import { breakable, el, number, shorten } from "../dom.js";
import { ranking, ranks, similarities } from "../maths.js";
import { calls, list, program } from "../python.js";
import { hasSides } from "../sides.js";
import { vectorsOf } from "../vectors.js";
import { scale, shade } from "./heat_scale.js";
import { byQuestion, questionShown } from "./question.js";

/** The columns: first the two sides, then each task for both questions and passages. */
function columns(model) {
  const { query, document } = model.sides;
  const sides = { name: "two sides", note: `${query} → ${document}`, question: query, passage: document };
  const alike = model.tasks.map((task) => ({ name: task, note: "both", question: task, passage: task }));
  return hasSides(model) ? [sides, ...alike] : alike;
}

async function run(input, job) {
  const { model, questions, passages } = input;
  if (!model.tasks.length) return [noTasks(model)];
  const found = [];
  for (const column of columns(model)) {
    const asked = await vectorsOf(model, questions, column.question, job);
    const given = await vectorsOf(model, passages, column.passage, job);
    found.push({ ...column, scores: similarities(asked, given) });
  }
  return [byQuestion(input, () => table(input, found))];
}

const noTasks = (model) =>
  el(
    "div",
    { class: "notice" },
    el("strong", {}, `${model.id} has no tasks.`),
    " It embeds every text in the same way. The models jina-embeddings-v3, v4 and v5 have tasks.",
  );

function table(input, found) {
  const shown = questionShown(input);
  const order = ranking(found[0].scores[shown]);
  const answer = input.answer(shown);
  const head = found.map(({ name, note }) =>
    el("th", { scope: "col" }, breakable(name), el("small", {}, breakable(note))),
  );
  const cells = found.map(({ scores }) => ({
    scores: scores[shown],
    places: ranks(scores[shown]),
    range: scale(scores[shown]),
  }));
  const rows = order.map((item) =>
    el(
      "tr",
      { class: item === answer ? "answer" : "" },
      el(
        "th",
        { scope: "row", title: input.passages[item] },
        item === answer && el("span", { class: "tag" }, "answer"),
        shorten(input.passages[item], 80),
      ),
      cells.map(({ scores, places, range }) =>
        el(
          "td",
          {
            class: places[item] === 1 ? "heat first" : "heat",
            "--share": shade(range, scores[item]),
            "data-score": scores[item],
            "data-item": item,
          },
          el("span", { class: "place" }, `${places[item]}.`),
          " ",
          number(scores[item]),
        ),
      ),
    ),
  );
  return [
    el(
      "div",
      { class: "wide", tabindex: 0, role: "region", "aria-label": "Tasks side by side" },
      el("table", { class: "grid tasks" }, el("thead", {}, el("tr", {}, el("td", {}), head)), el("tbody", {}, rows)),
    ),
    el(
      "p",
      { class: "note" },
      "Place and cosine of each passage. Each column has its own colour scale because the range of cosines differs between tasks. Compare places, not values.",
    ),
  ];
}

function python({ model, questions, passages }, where) {
  if (!model.tasks.length) return "";
  const call = calls(where, model);
  const parts = [`${list("questions", questions)}\n${list("passages", passages)}`];
  const sides = hasSides(model)
    ? `    "two sides": ${call.queries("questions")} @ ${call.documents("passages")}.T,\n`
    : "";
  const task = model.tasks.map(
    (name) => `    ${JSON.stringify(name)}: ${call.task("questions", name)} @ ${call.task("passages", name)}.T,\n`,
  );
  parts.push(`scores = {\n${sides}${task.join("")}}`);
  parts.push(`for name, found in scores.items():
    for question, row in zip(questions, found, strict=True):
        print(f"{name}: {question}")
        for rank, index in enumerate((-row).argsort(kind="stable"), 1):
            print(f"{rank:4} {row[index]:7.3f}  {passages[index]}")`);
  return program(call, parts);
}

export default {
  id: "tasks",
  label: "Tasks",
  about:
    "A model with tasks was trained separately for each one: for retrieval, with two sides, and for comparing similar texts.",
  least: { questions: 1, passages: 2 },
  run,
  python,
};
