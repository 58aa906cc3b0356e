// Creates elements. Users' texts always become text nodes, never markup.

const SVG = "http://www.w3.org/2000/svg";

function make(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("--"))
      element.style.setProperty(name, value); // allowed by the policy, unlike style="…"
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

export const el = (name, attributes = {}, ...children) => make(document.createElement(name), attributes, children);
export const svg = (name, attributes = {}, ...children) =>
  make(document.createElementNS(SVG, name), attributes, children);
export const byId = (id) => document.getElementById(id);

let made = 0;

/** A labelled select whose change calls `chosen` with the value. */
export function choice(label, options, value, chosen) {
  const id = `choice-${(made += 1)}`;
  const select = el(
    "select",
    { id, onchange: () => chosen(select.value) },
    options.map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text)),
  );
  return el("div", { class: "choice" }, el("label", { for: id }, label), select);
}

/** A part of the panel that is redrawn when a control changes. The controls themselves keep the focus. */
export function redrawn(draw) {
  const place = el("div", { class: "drawn" });
  const again = () => place.replaceChildren(...[draw(again)].flat().filter(Boolean));
  again();
  return { place, again };
}

/** A name that may wrap after a dot or a hyphen: retrieval.<here>query. */
export const breakable = (name) => name.split(/(?<=[.-])/).flatMap((part) => [el("wbr"), part]);

export const number = (value, digits = 3) =>
  value
    .toFixed(digits)
    .replace(/^-(?=0\.0*$)/, "")
    .replace("-", "−");
export const percent = (share) => `${Math.round(100 * share)} %`;
export const shorten = (text, most = 60) => (text.length <= most ? text : `${text.slice(0, most - 1).trimEnd()}…`);
export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;
