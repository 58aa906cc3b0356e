// Late chunking beside naive chunking: the cosine of a question and each chunk, with and without its context.

import { ways, chunksOf } from "../chunks.js";
import { byId, choice, el, number, plural } from "../dom.js";
import { cosine, ranks } from "../maths.js";
import { calls, list, program } from "../python.js";
import { lateVectorsOf, vectorsOf } from "../vectors.js";

const MOST = 60; // chunks

let way = "sentences";
let fields = null; // kept while another panel is open, so that a pasted document is not lost
let from = null;
let compared = null; // the chunks and the question on display

/** The panel's own fields: a document, a question, and how the document is cut. */
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
  if (!question) throw new Error("Write a question about the document.");
  if (chunks.length > MOST)
    throw new Error(`${chunks.length} chunks are too many: this page takes ${MOST}. Choose longer chunks.`);
  const [asked] = await vectorsOf(model, [question], model.sides.query, job);
  const naive = await vectorsOf(model, chunks, model.sides.document, job);
  if (model.late === false) throw new Error(`${model.id} does not support late chunking.`);
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
        : `Late chunking puts chunk ${best(late) + 1} first, naive chunking puts chunk ${best(naive) + 1} first.`,
    ),
    ` ${plural(chunks.length, "chunk")}. The cosines span ${number(spread(naive))} if each chunk is embedded alone, and ${number(spread(late))} if it is embedded in its document.`,
    climbs[most] > 0 && ` Chunk ${most + 1} rises most, from place ${before[most]} to ${after[most]}.`,
  );
}

const lone = () =>
  el("p", { class: "notice" }, "There is only one chunk, the whole document, so no context is lost. Choose shorter chunks.");

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
    `${list("questions", [question])}\n# The chunks, joined, must be the document.\n${list("chunks", chunks)}`,
    lines,
  ]);
}

export default {
  id: "late",
  label: "Late chunking",
  about:
    "A chunk alone does not show what “it” or “she” refers to. In late chunking, the model reads the whole document, and the vectors of each chunk’s tokens are averaged.",
  least: null, // it has its own texts
  own,
  run,
  python,
};
