// Small charts as SVG. Colours are classes; every chart says in words what it shows.

import { h, svg } from "./dom.js";
import { number, time } from "./text.js";

const HEIGHT = 160;
const LEFT = 56;
const PHONE = matchMedia("(max-width: 640px)");
const BOTTOM = 22;
const TOP = 10;

/**
 * The split of one rule: a bar, and a legend with the shares. `weights` is percent by subset; the last one, which
 * is the baseline, always has the first colour.
 */
export function splitBar(weights) {
  const parts = Object.entries(weights);
  const colour = (index) => parts.length - 1 - index;
  let x = 0;
  const bars = parts.map(([, percent], index) => {
    const bar = svg("rect", { x, y: 0, width: percent, height: 10, class: `f${colour(index) % 5}` });
    x += percent;
    return bar;
  });
  const words = parts.map(([subset, percent]) => `${subset} ${number(percent)} %`).join(", ");
  return [
    svg("svg", { class: "split", viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": words }, bars),
    h("ul", { class: "legend" }, parts.map(([subset, percent], index) => entry(`${subset} ${number(percent)} %`, colour(index)))),
  ];
}

function entry(text, index) {
  return h("li", {}, svg("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, svg("rect", { width: 10, height: 10, class: `f${index % 5}` })), text);
}

/**
 * Curves over time. `series` is a list of {name, points: [[Date, number|null]…], steps, dashed, colour}; a null
 * breaks the curve. `unit` follows each number; `whole` numbers have no half between them.
 */
export function lineChart(series, { unit = "", label, low, high, whole = false }) {
  const points = series.flatMap((each) => each.points);
  const values = points.map(([, value]) => value).filter((value) => value !== null);
  if (values.length === 0) return null;
  const times = points.map(([at]) => at.getTime());
  const from = Math.min(...times);
  const until = Math.max(...times, from + 1);
  const least = low ?? Math.min(...values);
  const most = Math.max(high ?? Math.max(...values), least + 1e-9);
  const width = PHONE.matches ? 320 : 440; // so that the letters are as large on a phone
  const x = (at) => LEFT + ((at.getTime() - from) / (until - from)) * (width - LEFT - 8);
  const y = (value) => TOP + (1 - (value - least) / (most - least)) * (HEIGHT - TOP - BOTTOM);
  const half = (least + most) / 2;
  const marks = [least, ...(whole && !Number.isInteger(half) ? [] : [half]), most];
  return h("figure", { class: "figure" },
    svg("svg", { class: "chart", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": label },
      marks.map((mark) => [
        svg("line", { class: "axis", x1: LEFT, x2: width - 8, y1: y(mark), y2: y(mark) }),
        svg("text", { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }, number(mark) + unit),
      ]),
      svg("text", { x: LEFT, y: HEIGHT - 5 }, time(new Date(from))),
      svg("text", { x: width - 8, y: HEIGHT - 5, "text-anchor": "end" }, time(new Date(until))),
      series.map((each, index) =>
        svg("path", { class: `curve s${(each.colour ?? index) % 5}${each.dashed ? " dashed" : ""}`, d: path(each, x, y) })),
    ),
    h("ul", { class: "legend" }, series.map((each, index) => entry(each.name, each.colour ?? index))),
  );
}

function path({ points, steps }, x, y) {
  let drawn = "";
  let last = null;
  for (const [at, value] of points) {
    if (value === null) {
      last = null;
      continue;
    }
    if (last === null) drawn += `M${x(at)} ${y(value)}`;
    else if (steps) drawn += `H${x(at)}V${y(value)}`;
    else drawn += `L${x(at)} ${y(value)}`;
    last = value;
  }
  return drawn;
}
