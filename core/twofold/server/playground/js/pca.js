// The principal components of a few long vectors, for the map.
//
// n vectors have at most n components, so the n x n matrix of the products of the centred vectors is enough: its
// eigenvectors, scaled by the square roots of their eigenvalues, are the points. Jacobi rotations find them exactly.

import { dot } from "./maths.js";

const SWEEPS = 30;

/** Eigenvalues and eigenvectors (as rows) of a symmetric matrix, largest value first. */
export function eigen(symmetric) {
  const n = symmetric.length;
  const a = symmetric.map((row) => [...row]);
  const vectors = a.map((_, i) => a.map((_, j) => Number(i === j)));
  const size = Math.sqrt(a.flat().reduce((sum, value) => sum + value * value, 0));
  for (let sweep = 0; sweep < SWEEPS && off(a) > 1e-12 * size; sweep += 1) {
    for (let p = 0; p < n; p += 1) for (let q = p + 1; q < n; q += 1) rotate(a, vectors, p, q);
  }
  const order = a.map((_, i) => i).sort((i, j) => a[j][j] - a[i][i]);
  return { values: order.map((i) => a[i][i]), vectors: order.map((i) => vectors[i]) };
}

function off(a) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 1) for (let j = 0; j < i; j += 1) sum += 2 * a[i][j] * a[i][j];
  return Math.sqrt(sum);
}

/** Rotate in the plane of `p` and `q`, so that a[p][q] becomes zero. */
function rotate(a, vectors, p, q) {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.hypot(theta, 1));
  const c = 1 / Math.hypot(t, 1);
  const s = t * c;
  for (const row of a) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
  for (let k = 0; k < a.length; k += 1) {
    [a[p][k], a[q][k]] = [c * a[p][k] - s * a[q][k], s * a[p][k] + c * a[q][k]];
    [vectors[p][k], vectors[q][k]] = [c * vectors[p][k] - s * vectors[q][k], s * vectors[p][k] + c * vectors[q][k]];
  }
}

/** The points [x, y] of `vectors` on the first two components, and each component's share of the variance. */
export function pca(vectors) {
  const middle = vectors[0].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i], 0) / vectors.length);
  const centred = vectors.map((vector) => vector.map((value, i) => value - middle[i]));
  const products = centred.map((a) => centred.map((b) => dot(a, b)));
  const total = products.reduce((sum, row, i) => sum + row[i], 0);
  const found = eigen(products);
  const axes = [0, 1].map((k) => {
    const scale = Math.sqrt(Math.max(found.values[k] ?? 0, 0));
    return turned((found.vectors[k] ?? vectors.map(() => 0)).map((value) => value * scale));
  });
  const shares = [0, 1].map((k) => (total > 0 ? Math.max(found.values[k] ?? 0, 0) / total : 0));
  return { points: vectors.map((_, i) => [axes[0][i], axes[1][i]]), shares };
}

/** The sign of an axis is arbitrary. Choose it so that the farthest point is on the positive side. */
function turned(axis) {
  const far = axis.reduce((best, value) => (Math.abs(value) > Math.abs(best) + 1e-9 ? value : best), 0);
  return far < 0 ? axis.map((value) => -value) : axis;
}
