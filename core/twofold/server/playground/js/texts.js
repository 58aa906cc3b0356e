// What stands in the two boxes.

import { byId, plural } from "./dom.js";

const MOST = 100; // in both boxes: the page is for trying, and a heat map of more cannot be read

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

/** Throws what is wrong with the texts, in words. */
export function checkTexts({ questions, passages }, least) {
  if (questions.length < least.questions) throw new Error("Write a question: one a line.");
  if (passages.length < least.passages)
    throw new Error(`Write ${plural(least.passages, "passage")} at least: one a line.`);
  const count = questions.length + passages.length;
  if (count > MOST)
    throw new Error(`${count} texts are too many for this page, which takes ${MOST}: for more, use the command line.`);
}
