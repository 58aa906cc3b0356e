// A curve of how much of a ranking is kept at each size of the vectors.

import { number, svg } from "../dom.js";

const [MOST, HEIGHT] = [736, 170];
const [LEFT, RIGHT, TOP, BOTTOM] = [34, 14, 12, 26];

/** Draw it `room` pixels wide, so that its letters have the same size as those of the page. */
export function curve(costs, now, room) {
  const width = Math.min(Math.max(room, 260), MOST);
  const lowest = Math.min(0, ...costs.map(({ order }) => order), now.order);
  const [first, last] = [costs[0].dimensions, costs.at(-1).dimensions].map(Math.log2);
  const x = (dimensions) => LEFT + ((Math.log2(dimensions) - first) / (last - first || 1)) * (width - LEFT - RIGHT);
  const y = (order) => TOP + ((1 - order) / (1 - lowest)) * (HEIGHT - TOP - BOTTOM);
  const across = (order) => [
    svg("path", { class: "rule", d: `M${LEFT} ${y(order)}H${width - RIGHT}` }),
    svg("text", { x: LEFT - 6, y: y(order) + 4, "text-anchor": "end" }, number(order, 1)),
  ];
  const at = Math.max(x(now.dimensions), LEFT - 10);
  const words = costs.map(({ dimensions, order }) => `${dimensions}: ${number(order, 2)}`).join(", ");
  return svg(
    "svg",
    {
      class: "curve",
      viewBox: `0 0 ${width} ${HEIGHT}`,
      role: "img",
      "aria-label": `Order kept at each size (Kendall’s tau). ${words}`,
    },
    [1, 0.5, 0].map(across),
    costs.map(({ dimensions }) =>
      svg("text", { x: x(dimensions), y: HEIGHT - 6, "text-anchor": "middle" }, dimensions),
    ),
    svg("path", {
      class: "line",
      d: `M${costs.map(({ dimensions, order }) => `${x(dimensions)} ${y(order)}`).join("L")}`,
    }),
    costs.map(({ dimensions, order }) => svg("circle", { class: "dot", cx: x(dimensions), cy: y(order), r: 3 })),
    svg("path", { class: "here", d: `M${at} ${TOP}V${HEIGHT - BOTTOM}` }),
    svg("circle", { class: "here", cx: at, cy: y(now.order), r: 6 }),
  );
}
