// Cuts a document into consecutive chunks. Joined, the chunks are the document again.

const WORDS = 40;

const pieces = {
  sentences: (text) =>
    [...new Intl.Segmenter(undefined, { granularity: "sentence" }).segment(text)].map((s) => s.segment),
  lines: (text) => text.match(/[^\n]*\n+|[^\n]+$/g) ?? [],
  paragraphs: (text) => text.split(/(?<=\n[^\S\n]*\n)/),
  words: (text) => text.match(new RegExp(`(?:\\s*\\S+\\s*){1,${WORDS}}`, "g")) ?? [],
};

export const ways = [
  ["sentences", "one per sentence"],
  ["lines", "one per line"],
  ["paragraphs", "one per paragraph"],
  ["words", `${WORDS} words each`],
];

/** The chunks of `text`. White space alone cannot be embedded, so it joins the chunk before it (or the first one). */
export function chunksOf(text, way) {
  const chunks = [];
  let blank = "";
  for (const piece of pieces[way](text)) {
    if (piece.trim()) {
      chunks.push(blank + piece);
      blank = "";
    } else if (chunks.length) chunks.push(chunks.pop() + piece);
    else blank += piece;
  }
  return chunks;
}
