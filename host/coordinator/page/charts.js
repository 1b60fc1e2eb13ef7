// Curves as SVG, without a library. What is drawn is also said in words.
"use strict";

// Points that are drawn of a curve: more than there are pixels.
const POINTS_MAX = 1200;

// At most `most` of a curve's points, each with its place: the first, the last, and of each stretch between them the
// lowest and the highest, so that no peak is lost. A pure function of the values; those that are no numbers are left
// out.
function thinned(values, most) {
  const points = [];
  for (let index = 0; index < values.length; index++) {
    if (Number.isFinite(values[index])) points.push([index, values[index]]);
  }
  if (points.length <= most) return points;
  const inner = points.length - 2, stretches = Math.max(1, Math.floor((most - 2) / 2)), thin = [points[0]];
  for (let stretch = 0; stretch < stretches; stretch++) {
    const from = 1 + Math.floor(stretch * inner / stretches), to = 1 + Math.floor((stretch + 1) * inner / stretches);
    let low = from, high = from;
    for (let index = from; index < to; index++) {
      if (points[index][1] < points[low][1]) low = index;
      if (points[index][1] > points[high][1]) high = index;
    }
    if (from < to) thin.push(points[Math.min(low, high)]);
    if (low !== high) thin.push(points[Math.max(low, high)]);
  }
  thin.push(points[points.length - 1]);
  return thin;
}

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 320, HEIGHT = 140, LEFT = 56, BOTTOM = 18, TOP = 8;

function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, shown(value));
  element.append(...children);
  return element;
}

function short(value) {
  const size = Math.abs(value);
  return size !== 0 && (size < 0.001 || size >= 100000) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

// One metric: values in the order in which they were verified.
function curve(name, values) {
  const points = thinned(values, POINTS_MAX);
  let low = Infinity, high = -Infinity;
  for (const [, value] of points) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const span = high - low || 1;
  const x = index => LEFT + (WIDTH - LEFT - 8) * (values.length < 2 ? 0.5 : index / (values.length - 1));
  const y = value => TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / span);
  const path = points.map(([index, value], place) => `${place ? "L" : "M"}${x(index).toFixed(1)} ${y(value).toFixed(1)}`).join("");
  const [place, last] = points[points.length - 1] || [0, NaN], [, first] = points[0] || [0, NaN];
  const words = `${named(name).textContent}: ${values.length} values from ${short(first)} to ${short(last)}, between ${short(low)} and ${short(high)}`;
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words },
    svg("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: HEIGHT - BOTTOM }),
    svg("line", { class: "axis", x1: LEFT, x2: WIDTH - 8, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }),
    svg("text", { x: 0, y: TOP + 8 }, short(high)),
    svg("text", { x: 0, y: HEIGHT - BOTTOM }, short(low)),
    svg("text", { x: LEFT, y: HEIGHT - 4 }, "first"),
    svg("text", { x: WIDTH - 8, y: HEIGHT - 4, "text-anchor": "end" }, "last"),
    svg("path", { class: "series", d: path }),
    ...(points.length ? [svg("circle", { class: "point", cx: x(place), cy: y(last), r: 3 })] : []));
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  const title = document.createElement("strong"), value = document.createElement("span");
  title.append(named(name));
  value.textContent = short(last);
  caption.append(title, value);
  figure.append(caption, picture);
  return figure;
}
