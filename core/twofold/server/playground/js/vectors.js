// Caches vectors: all panels together request each text once per model and task.

import { embed } from "./server.js";

const BATCH = 16; // texts per request: small enough to show progress, and for Cancel to save work
const MOST = 4000; // cached vectors

const kept = new Map();
const name = (model, task, text) => JSON.stringify([model.id, task, text]);

/** The vectors of `texts` under `task`, in order. `job` has an abort signal and counts expected and finished texts. */
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

/** The vectors of one document's chunks, each embedded in the context of the whole document. */
export async function lateVectorsOf(model, chunks, task, job) {
  const whole = name(model, task, chunks); // a list, so its name differs from that of any text
  if (!kept.has(whole)) {
    job.expect(chunks.length);
    kept.set(whole, await embed({ model, texts: chunks, task, late: true, signal: job.signal }));
    job.done(chunks.length);
  }
  return kept.get(whole);
}
