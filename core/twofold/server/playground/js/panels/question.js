// Which question is looked at: the same one in every panel.

import { choice, el, redrawn, shorten } from "../dom.js";

let shown = 0;

export const firstQuestion = () => (shown = 0);

/** The place of the question; never beyond the last, where some were taken away. */
export const questionShown = ({ questions }) => Math.max(Math.min(shown, questions.length - 1), 0);

/** A choice of the question, with `more` choices beside it, over what `draw()` makes of the one that is chosen. */
export function byQuestion(input, draw, ...more) {
  const drawn = redrawn(draw);
  const options = input.questions.map((text, index) => [index, shorten(text, 80)]);
  const picker = choice("Question", options, questionShown(input), (index) => {
    shown = Number(index);
    drawn.again();
  });
  return el("div", {}, el("div", { class: "choices" }, picker, ...more), drawn.place);
}
