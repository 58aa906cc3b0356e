// Similarities and rankings of vectors: plain functions of arrays of numbers.

export const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) sum += a[i] * b[i];
  return sum;
};

export const cosine = (a, b) => {
  const sizes = Math.sqrt(dot(a, a) * dot(b, b));
  return sizes === 0 ? 0 : dot(a, b) / sizes;
};

export const normalise = (vector) => {
  const size = Math.sqrt(dot(vector, vector));
  return size === 0 ? vector : vector.map((value) => value / size);
};

/** The first `size` values, scaled to unit length, as the option `dimensions` does. */
export const cut = (vector, size) => normalise(vector.slice(0, size));

/** The cosines of every vector in `rows` with every vector in `columns`. */
export const similarities = (rows, columns) => rows.map((row) => columns.map((column) => cosine(row, column)));

/** Indices from the highest score to the lowest. Equal scores keep their order, as in a stable argsort. */
export const ranking = (scores) => scores.map((_, index) => index).sort((a, b) => scores[b] - scores[a] || a - b);

/** The rank of each item, from 1: the inverse of `ranking`. */
export const ranks = (scores) => {
  const places = new Array(scores.length);
  ranking(scores).forEach((item, place) => (places[item] = place + 1));
  return places;
};

/** The share of the first `k` items of one ranking that are among the first `k` of the other. */
export const overlap = (scores, others, k) => {
  const most = Math.min(k, scores.length);
  const first = new Set(ranking(scores).slice(0, most));
  return (
    ranking(others)
      .slice(0, most)
      .filter((item) => first.has(item)).length / most
  );
};

/** Kendall's tau-a: (pairs in the same order - pairs in reverse order) / all pairs; 1 for the same ranking. */
export const kendall = (scores, others) => {
  const count = scores.length;
  if (count < 2) return 1;
  const a = ranks(scores);
  const b = ranks(others);
  let agreeing = 0;
  for (let i = 0; i < count; i += 1) {
    for (let j = i + 1; j < count; j += 1) agreeing += Math.sign((a[i] - a[j]) * (b[i] - b[j]));
  }
  return agreeing / ((count * (count - 1)) / 2);
};

export const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
