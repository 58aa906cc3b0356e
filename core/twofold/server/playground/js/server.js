// The two routes of the server that this page uses, in Jina's API.

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let key = ""; // only in memory: never in storage or in a URL

export const setKey = (value) => (key = value.trim());

async function ask(address, { body, signal } = {}) {
  const headers = body ? { "content-type": "application/json" } : {};
  if (key) headers.authorization = `Bearer ${key}`;
  let answer;
  try {
    answer = await fetch(address, { method: body ? "POST" : "GET", headers, body, signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server cannot be reached. Is it still running?", 0);
  }
  const read = await answer.text();
  let json = null;
  try {
    json = JSON.parse(read);
  } catch {
    if (answer.ok) throw new ServerError("The server's answer is not JSON.", answer.status);
  }
  if (!answer.ok) throw new ServerError(explain(answer, json), answer.status);
  return json;
}

/** The server's message, with what to do about it. */
function explain(answer, json) {
  const said = json?.detail ?? json?.error?.message ?? json?.message;
  const words = typeof said === "string" ? said : said ? JSON.stringify(said) : answer.statusText;
  if (answer.status === 401) return `The server needs an API key: enter it above, under “API key”. Its answer: ${words}`;
  const wait = answer.headers.get("retry-after");
  return `The server answered ${answer.status}: ${words}${wait ? ` Try again in ${wait} s.` : ""}`;
}

/** The served models, with what the page needs to know about each. */
export async function listModels() {
  const { data } = await ask("v1/models");
  return data.map((model) => ({
    id: model.id,
    string: model.model ?? null, // the model string of an Embedder; null if that would be a folder of the server
    width: model.width,
    served: model.dimensions, // the size if a request names none
    most: model.context_length,
    sizes: model.matryoshka ?? [],
    tasks: model.tasks ?? [],
    sides: sidesOf(model),
    twoSided: model.two_sided,
    late: model.late_chunking,
  }));
}

/** The words for the sides in a request: the model's own tasks, or the server's words if both tasks have one name. */
function sidesOf({ two_sided: two, query_task: query, document_task: document }) {
  return two && query === document ? { query: "query", document: "document" } : { query, document };
}

/** One full vector per text. With `late`, the texts are the consecutive chunks of one document. */
export async function embed({ model, texts, task, late = false, signal }) {
  const body = { model: model.id, input: texts, embedding_type: "float", normalized: true };
  if (model.width !== model.served) body.dimensions = model.width;
  if (task != null) body.task = task;
  if (late) body.late_chunking = true;
  const { data } = await ask("v1/embeddings", { body: JSON.stringify(body), signal });
  if (data.length !== texts.length) {
    throw new ServerError(`The server sent ${data.length} vectors for ${texts.length} texts.`, 200);
  }
  return data.toSorted((a, b) => a.index - b.index).map((row) => row.embedding);
}
