// Late chunking beside naive: what each chunk of a document is worth to a question, with and without its context.

import { ways, chunksOf } from "../chunks.js";
import { byId, choice, el, number, plural } from "../dom.js";
import { cosine, ranks } from "../maths.js";
import { calls, list, program } from "../python.js";
import { lateVectorsOf, vectorsOf } from "../vectors.js";

const MOST = 60; // chunks

let way = "sentences";
let fields = null; // kept while another panel is open, so that a pasted document is not lost
let from = null;
let compared = null; // the chunks and the question that are shown

/** The panel's own fields: a document, a question, and how the one is cut. */
function own({ rerun }, example) {
  if (from !== example) fields = makeFields(rerun, example);
  from = example;
  return fields;
}

function makeFields(rerun, example) {
  way = example.split;
  return el(
    "div",
    { class: "own" },
    el(
      "div",
      { class: "field" },
      el("label", { for: "document" }, "Document"),
      el("textarea", { id: "document", rows: 8, spellcheck: "false" }, example.document),
    ),
    el(
      "div",
      { class: "field" },
      el("label", { for: "ask" }, "Question"),
      el("input", { id: "ask", type: "text", value: example.ask }),
    ),
    el(
      "div",
      { class: "choices" },
      choice("Chunks", ways, way, (value) => {
        way = value;
        rerun();
      }),
    ),
  );
}

const readFields = () => ({ chunks: chunksOf(byId("document").value, way), question: byId("ask").value.trim() });

async function run({ model }, job) {
  const { chunks, question } = readFields();
  if (!chunks.length) throw new Error("Paste a document to cut into chunks.");
  if (!question) throw new Error("Write a question to the document.");
  if (chunks.length > MOST)
    throw new Error(`${chunks.length} chunks are too many for this page, which takes ${MOST}: choose longer ones.`);
  const [asked] = await vectorsOf(model, [question], model.sides.query, job);
  const naive = await vectorsOf(model, chunks, model.sides.document, job);
  if (model.late === false) throw new Error(`${model.id} cannot chunk late: its server embeds each text by itself.`);
  const late = await lateVectorsOf(model, chunks, model.sides.document, job);
  compared = { chunks, question };
  const scores = {
    naive: naive.map((vector) => cosine(asked, vector)),
    late: late.map((vector) => cosine(asked, vector)),
  };
  return [summary(chunks, scores), drawChunks(chunks, scores, naive, late), chunks.length === 1 && lone()].filter(
    Boolean,
  );
}

const best = (scores) => scores.indexOf(Math.max(...scores));
const spread = (scores) => Math.max(...scores) - Math.min(...scores);

function summary(chunks, { naive, late }) {
  const same = best(naive) === best(late);
  const [before, after] = [ranks(naive), ranks(late)];
  const climbs = before.map((rank, index) => rank - after[index]);
  const most = best(climbs);
  return el(
    "p",
    { class: "summary" },
    el(
      "strong",
      {},
      same
        ? `Both put chunk ${best(late) + 1} first.`
        : `Late chunking puts chunk ${best(late) + 1} first, naive chunk ${best(naive) + 1}.`,
    ),
    ` ${plural(chunks.length, "chunk")}; from the lowest to the highest cosine it is ${number(spread(naive))} when each is embedded alone, and ${number(spread(late))} when all have seen the document.`,
    climbs[most] > 0 && ` Chunk ${most + 1} climbs most, from place ${before[most]} to ${after[most]}.`,
  );
}

const lone = () =>
  el("p", { class: "notice" }, "One chunk is the whole document: there is no context to lose. Cut it into more.");

function drawChunks(chunks, scores, naive, late) {
  const places = { naive: ranks(scores.naive), late: ranks(scores.late) };
  const bar = (name, index) =>
    el(
      "div",
      { class: `measure ${name}` },
      el("span", { class: "measure-name" }, name),
      el("span", { class: places[name][index] === 1 ? "rank one" : "rank" }, places[name][index]),
      el(
        "span",
        { class: "track", "aria-hidden": "true" },
        el("span", { class: "bar", "--share": Math.max(scores[name][index], 0) }),
      ),
      el("span", { class: "value", "data-score": scores[name][index] }, number(scores[name][index])),
    );
  return el(
    "ol",
    { class: "chunks" },
    chunks.map((chunk, index) =>
      el(
        "li",
        {},
        el("p", { class: "chunk" }, chunk.trim()),
        bar("naive", index),
        bar("late", index),
        el("p", { class: "note" }, `cosine of the chunk’s two vectors: ${number(cosine(naive[index], late[index]))}`),
      ),
    ),
  );
}

function python({ model }, where) {
  const { chunks, question } = compared;
  const call = calls(where, model);
  const lines = `question = ${call.queries("questions")}[0]
naive = ${call.documents("chunks")} @ question
late = ${call.late("chunks")} @ question
for chunk, alone, in_context in zip(chunks, naive, late, strict=True):
    print(f"{alone:7.3f} {in_context:7.3f}  {chunk.strip()}")`;
  return program(call, [
    `${list("questions", [question])}\n# Joined as they are, the chunks are the document.\n${list("chunks", chunks)}`,
    lines,
  ]);
}

export default {
  id: "late",
  label: "Late chunking",
  about:
    "A chunk alone loses what “it” and “she” stand for. In late chunking the whole document goes through the model, and its tokens are averaged chunk by chunk.",
  least: null, // it has texts of its own
  own,
  run,
  python,
};
