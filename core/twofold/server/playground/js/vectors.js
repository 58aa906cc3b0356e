// Vectors that the page has: each text is asked for once for each model and task, whatever the panel.

import { embed } from "./server.js";

const BATCH = 16; // texts of one request: small enough that progress is seen, and that Cancel saves work
const MOST = 4000; // vectors kept

const kept = new Map();
const name = (model, task, text) => JSON.stringify([model.id, task, text]);

/** The vectors of `texts` under `task`, in order. `job` has a signal, and counts what is expected and done. */
export async function vectorsOf(model, texts, task, job) {
  if (kept.size > MOST) kept.clear();
  const missing = [...new Set(texts)].filter((text) => !kept.has(name(model, task, text)));
  job.expect(missing.length);
  for (let start = 0; start < missing.length; start += BATCH) {
    const batch = missing.slice(start, start + BATCH);
    const found = await embed({ model, texts: batch, task, signal: job.signal });
    batch.forEach((text, index) => kept.set(name(model, task, text), found[index]));
    job.done(batch.length);
  }
  return texts.map((text) => kept.get(name(model, task, text)));
}

/** The vectors of one document's chunks, each of which has seen the whole document. */
export async function lateVectorsOf(model, chunks, task, job) {
  const whole = name(model, task, chunks); // a list, so that it is never taken for a text
  if (!kept.has(whole)) {
    job.expect(chunks.length);
    kept.set(whole, await embed({ model, texts: chunks, task, late: true, signal: job.signal }));
    job.done(chunks.length);
  }
  return kept.get(whole);
}
