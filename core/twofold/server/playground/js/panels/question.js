// The selected question. All panels share it.

import { choice, el, redrawn, shorten } from "../dom.js";

let shown = 0;

export const firstQuestion = () => (shown = 0);

/** The index of the selected question, or of the last one if questions were removed. */
export const questionShown = ({ questions }) => Math.max(Math.min(shown, questions.length - 1), 0);

/** A select for the question, with `more` controls beside it, above what `draw()` returns. */
export function byQuestion(input, draw, ...more) {
  const drawn = redrawn(draw);
  const options = input.questions.map((text, index) => [index, shorten(text, 80)]);
  const picker = choice("Question", options, questionShown(input), (index) => {
    shown = Number(index);
    drawn.again();
  });
  return el("div", {}, el("div", { class: "choices" }, picker, ...more), drawn.place);
}
