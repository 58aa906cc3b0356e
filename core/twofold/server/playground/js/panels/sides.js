// Two sides: the ranking with the right sides beside a ranking with wrong ones.

import { choice, el, plural } from "../dom.js";
import { ranking, ranks, similarities } from "../maths.js";
import { calls, list, printRanking, program } from "../python.js";
import { hasSides, noSides } from "../sides.js";
import { vectorsOf } from "../vectors.js";
import { byQuestion, questionShown } from "./question.js";
import { rankedList, rankedPair } from "./ranked.js";

// For each wrong choice: its name, and the sides of the questions and of the passages.
const WRONG = {
  documents: { name: "everything as documents", question: "document", passage: "document" },
  queries: { name: "everything as queries", question: "query", passage: "query" },
  swapped: { name: "the sides swapped", question: "document", passage: "query" },
};

let wrong = "documents";

async function run(input, job) {
  const { model, questions, passages } = input;
  const vectors = (texts, side) => vectorsOf(model, texts, model.sides[side], job);
  const right = similarities(await vectors(questions, "query"), await vectors(passages, "document"));
  if (!hasSides(model)) return [noSides(model), byQuestion(input, () => drawOne(input, right))];
  const { question, passage } = WRONG[wrong];
  const other = similarities(await vectors(questions, question), await vectors(passages, passage));
  const compared = choice(
    "Beside",
    Object.entries(WRONG).map(([key, { name }]) => [key, name]),
    wrong,
    (key) => {
      wrong = key;
      input.rerun();
    },
  );
  return [summary(input, right, other), byQuestion(input, () => drawBoth(input, right, other), compared)];
}

function drawOne(input, right) {
  const shown = questionShown(input);
  return rankedList({
    title: "The ranking",
    note: "no task, no instruction",
    passages: input.passages,
    scores: right[shown],
    answer: input.answer(shown),
  });
}

function drawBoth(input, right, other) {
  const { model, passages } = input;
  const { name, question, passage } = WRONG[wrong];
  const shown = questionShown(input);
  const answer = input.answer(shown);
  const note = (a, b) => `question as ${model.sides[a] ?? "plain text"}, passages as ${model.sides[b] ?? "plain text"}`;
  return rankedPair(
    { title: "Right sides", note: note("query", "document"), passages, scores: right[shown], answer },
    { title: `Wrong: ${name}`, note: note(question, passage), passages, scores: other[shown], answer },
  );
}

/** What the wrong sides change for all questions, in one or two sentences. */
function summary(input, right, other) {
  const count = right.length;
  const first = right.filter((scores, index) => ranking(scores)[0] !== ranking(other[index])[0]).length;
  const places = right.map((scores, index) => {
    const now = ranks(other[index]);
    return ranks(scores).filter((rank, item) => rank !== now[item]).length;
  });
  const total = places.reduce((sum, value) => sum + value, 0);
  const known = right
    .map((_, index) => input.answer(index))
    .map((answer, index) => [answer, index])
    .filter(([answer]) => answer != null);
  const found = (rows) => known.filter(([answer, index]) => ranking(rows[index])[0] === answer).length;
  return el(
    "p",
    { class: "summary" },
    el("strong", {}, `${first} of ${plural(count, "question")}`),
    ` would get another first passage with the wrong sides, and ${total} of ${plural(count * right[0].length, "place")} change.`,
    known.length > 0 &&
      ` The answer is first for ${found(right)} of ${plural(known.length, "question")} with the right sides, and for ${found(other)} with the wrong sides.`,
  );
}

function python({ model, questions, passages }, where) {
  const call = calls(where, model);
  const as = (side, name) => (side === "query" ? call.queries(name) : call.documents(name));
  const parts = [
    `${list("questions", questions)}\n${list("passages", passages)}`,
    `right = ${call.queries("questions")} @ ${call.documents("passages")}.T\n${printRanking("right")}`,
  ];
  if (hasSides(model)) {
    const { name, question, passage } = WRONG[wrong];
    parts.push(
      `# Wrong: ${name}.\nwrong = ${as(question, "questions")} @ ${as(passage, "passages")}.T\n${printRanking("wrong")}`,
    );
  }
  return program(call, parts);
}

export default {
  id: "sides",
  label: "Two sides",
  about:
    "The model embeds a question and a passage differently. This panel shows how the ranking changes if they are embedded in the wrong way.",
  least: { questions: 1, passages: 2 },
  run,
  python,
};
