// Curves as SVG, without a library. What is drawn is also said in words.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 140, LEFT = 56, BOTTOM = 18, TOP = 8;

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function short(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 100000) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// One metric: values in the order in which they were verified.
function curve(name, values) {
  // Not as arguments of one call: there may be more values than a call takes.
  const low = values.reduce((one, other) => Math.min(one, other)), high = values.reduce((one, other) => Math.max(one, other)), span = high - low || 1;
  const x = index => LEFT + (WIDTH - LEFT - 8) * (values.length < 2 ? 0.5 : index / (values.length - 1));
  const y = value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / span);
  const path = values.map((value, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const last = values[values.length - 1];
  const words = `${name}: ${values.length} values from ${short(values[0])} to ${short(last)}, between ${short(low)} and ${short(high)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    svg("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM }),
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    svg("text", { x: 0, y: TOP + 8 }, short(high)),
    svg("text", { x: 0, y: HEIGHT - BOTTOM }, short(low)),
    svg("text", { x: LEFT, y: HEIGHT - 4 }, "first"),
    svg("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, "last"),
    svg("path", { class: "series", d: path }),
    svg("circle", { class: "point", cx: x(values.length - 1), cy: y(last), r: 3 }));
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const title = document.createElement("strong"), value = document.createElement("span");
  title.textContent = name;
  value.textContent = short(last);
  caption.append(title, value);
  figure.append(caption, picture);
  return figure;
}
