// Connects the parts of the page: models, examples, texts, tabs, and the Python code of the open panel.

import { byId, el, plural } from "./dom.js";
import { documentOf, examples } from "./examples.js";
import dimensions from "./panels/dimensions.js";
import heat from "./panels/heat.js";
import late from "./panels/late.js";
import map from "./panels/map.js";
import { firstQuestion } from "./panels/question.js";
import sides from "./panels/sides.js";
import tasks from "./panels/tasks.js";
import { listModels, setKey } from "./server.js";
import { hasSides } from "./sides.js";
import { makeTabs } from "./tabs.js";
import { checkTexts, readTexts, writeTexts } from "./texts.js";
import { tell, work } from "./work.js";

const panels = [sides, tasks, dimensions, late, heat, map];
let models = [];
let panel = sides;
let example = examples[0];
let given = null; // the input that the open panel shows, even if the texts have changed; null if it shows nothing

const chosenModel = () => models.find(({ id }) => id === byId("model").value);

/** The input of a panel. `answer(index)` finds the passage that answers an example's question, wherever it is now. */
function input() {
  const texts = readTexts();
  const answers = new Map(
    (example.answers ?? []).map((place, index) => [example.questions[index], example.passages[place]]),
  );
  const answer = (index) => {
    const place = texts.passages.indexOf(answers.get(texts.questions[index]));
    return place < 0 ? null : place;
  };
  return { ...texts, model: chosenModel(), answer, rerun: show, changed: showPython };
}

/** Run the open panel and draw its results. */
async function show() {
  if (!chosenModel()) return;
  byId("stale").hidden = true;
  const chosen = panel;
  given = null;
  const asked = input();
  const done = await work(async (job) => {
    if (chosen.least) checkTexts(asked, chosen.least);
    const found = await chosen.run(asked, job);
    job.signal.throwIfAborted();
    // Keep the focus on a select or button that is drawn again.
    const focused = [...byId("view").querySelectorAll("select, button, input")].indexOf(document.activeElement);
    byId("view").replaceChildren(...found.filter(Boolean));
    if (focused >= 0) byId("view").querySelectorAll("select, button, input")[focused]?.focus();
  });
  if (done === null) return;
  if (done) given = asked;
  else byId("view").replaceChildren();
  showPython();
}

function showPython() {
  const code = given ? panel.python(given, byId("where").value) : "";
  byId("code").textContent = code;
  byId("python").hidden = !code;
  byId("copied").textContent = "";
}

function open(chosen) {
  panel = chosen;
  history.replaceState(null, "", `#${panel.id}`);
  byId("about").textContent = panel.about;
  byId("own").replaceChildren(...(panel.own ? [panel.own(input(), documentOf(example))] : []));
  byId("view").replaceChildren();
  document.body.dataset.panel = panel.id;
  return show();
}

const choose = makeTabs(panels, open);

function load(chosen, { jump }) {
  example = chosen;
  writeTexts(example);
  firstQuestion();
  for (const chip of byId("examples").children)
    chip.setAttribute("aria-pressed", String(chip.dataset.example === example.id));
  if (jump) choose(example.panel);
}

function facts(model) {
  const { id, width, most, tasks, sides: own, late } = model;
  const two = hasSides(model);
  const parts = [
    [`${width} dimensions`],
    [`up to ${most} tokens`],
    two
      ? [`two sides: ${own.query} and ${own.document}`]
      : ["one side: questions and passages are embedded alike", "one-sided"],
    [tasks.length ? plural(tasks.length, "task") : "no tasks"],
    late === false ? ["no late chunking"] : null,
  ].filter(Boolean);
  byId("facts").replaceChildren(
    el("b", {}, id),
    ...parts.map(([text, kind = ""]) => el("span", { class: kind }, text)),
  );
}

async function start() {
  try {
    models = await listModels();
  } catch (error) {
    tell(error.message);
    byId("facts").replaceChildren();
    if (error.status === 401) document.querySelector(".key").open = true;
    if (error.status === 401) byId("key").focus();
    return;
  }
  if (!models.length) return tell("The server has no models.");
  byId("alert").hidden = true;
  byId("model").replaceChildren(...models.map(({ id }) => el("option", { value: id }, id)));
  facts(chosenModel());
  await show();
}

byId("examples").append(
  ...examples.map((one) =>
    el(
      "button",
      { type: "button", "data-example": one.id, title: one.about, onclick: () => load(one, { jump: true }) },
      one.name,
    ),
  ),
);
byId("model").addEventListener("change", () => {
  facts(chosenModel());
  show();
});
byId("key").addEventListener("change", () => {
  setKey(byId("key").value);
  if (models.length) show();
  else start();
});
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  document.querySelector(".key").open = false;
});
byId("texts").addEventListener("submit", (event) => {
  event.preventDefault();
  show();
});
byId("texts").addEventListener("input", () => (byId("stale").hidden = false));
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) show();
  if (event.key === "Escape") document.querySelector(".key").open = false;
});
byId("where").addEventListener("change", showPython);
byId("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(byId("code").textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren(byId("code")); // no permission for the clipboard, or plain HTTP
    byId("copied").textContent = "Selected: press Ctrl+C.";
  }
});

load(examples[0], { jump: false });
choose(location.hash.slice(1));
addEventListener("hashchange", () => choose(location.hash.slice(1)));
start();
