// Python code that computes what a panel shows, with Twofold in the reader's process or with requests to this server.

const literal = (value) => (value == null ? "None" : JSON.stringify(value)); // JSON strings are valid Python

export const list = (name, texts) =>
  texts.length ? `${name} = [\n${texts.map((text) => `    ${literal(text)},\n`).join("")}]` : `${name} = []`;

/** Calls of an `Embedder`. */
function here(model, dimensions) {
  const options = dimensions ? `, dimensions=${dimensions}` : "";
  const where = model.string ? "" : "  # put its hub id or the folder of its weights here";
  return {
    imports: ["from twofold import Embedder"],
    setup: `embedder = Embedder(${literal(model.string ?? model.id)}${options})${where}`,
    queries: (name) => `embedder.embed_queries(${name})`,
    documents: (name) => `embedder.embed_documents(${name})`,
    task: (name, task) => `embedder.embed(${name}, task=${literal(task)})`,
    late: (name) => `embedder.embed_chunks(${name})`,
  };
}

/** Requests to this server, in Jina's API. */
function server(model, dimensions) {
  const address = new URL("v1/embeddings", document.baseURI).href;
  const task = (name, task, more = "") => `embed(${name}, ${literal(task)}${more})`;
  return {
    imports: ["import os", "", "import httpx", "import numpy as np"],
    setup: `KEY = os.environ.get("TWOFOLD_SERVER_KEY", "")  # if the server needs one


def embed(texts, task, **options):
    answer = httpx.post(
        ${literal(address)},
        headers={"Authorization": f"Bearer {KEY}"} if KEY else {},
        json={"model": ${literal(model.id)}, "input": texts, ${dimensions ? `"dimensions": ${dimensions}, ` : ""}**({"task": task} if task else {}), **options},
        timeout=600,
    )
    answer.raise_for_status()
    return np.array([row["embedding"] for row in answer.json()["data"]])
`,
    queries: (name) => task(name, model.sides.query),
    documents: (name) => task(name, model.sides.document),
    task,
    late: (name) => task(name, model.sides.document, ", late_chunking=True"),
  };
}

export const calls = (where, model, dimensions) => (where === "server" ? server : here)(model, dimensions);

/** A whole program made of `parts`. `more` are further imports that it needs. */
export function program(call, parts, more = []) {
  const extra = more.filter((line) => !call.imports.includes(line));
  const [first, ...rest] = call.imports;
  const imports = first === "import os" ? [first, ...rest] : [...(extra.length ? [...extra, ""] : []), first];
  return `${[imports.join("\n"), parts[0], call.setup, ...parts.slice(1)].join("\n\n")}\n`;
}

/** The lines that print a ranking for each question. */
export const printRanking = (scores) => `for question, row in zip(questions, ${scores}, strict=True):
    print(question)
    for rank, index in enumerate((-row).argsort(kind="stable"), 1):
        print(f"{rank:4} {row[index]:7.3f}  {passages[index]}")`;
