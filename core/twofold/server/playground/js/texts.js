// The texts in the two boxes.

import { byId, plural } from "./dom.js";

const MOST = 100; // in both boxes together: nobody can read a larger heat map

export const linesOf = (text) =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);

export const readTexts = () => ({
  questions: linesOf(byId("questions").value),
  passages: linesOf(byId("passages").value),
});

export function writeTexts({ questions, passages }) {
  byId("questions").value = questions.join("\n");
  byId("passages").value = passages.join("\n");
}

/** Throws an Error that says what is wrong with the texts. */
export function checkTexts({ questions, passages }, least) {
  if (questions.length < least.questions) throw new Error("Write a question, one per line.");
  if (passages.length < least.passages)
    throw new Error(`Write at least ${plural(least.passages, "passage")}, one per line.`);
  const count = questions.length + passages.length;
  if (count > MOST)
    throw new Error(`${count} texts are too many: this page takes ${MOST}. For more, use the command line.`);
}
