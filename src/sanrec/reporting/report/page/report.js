// The report's own script: sort a table by a column, search, draw a run's learning curves when they are opened.
"use strict";

const NUMBER = /^[<+-]?[\d,]*\.?\d+(e[+-]?\d+)?(%| points)?( ±.*| \(.*\))?\*?$/i;
const MISSING = "–";

/** What a cell is sorted by: a number, a text, or null for nothing, which stands last in either direction. */
function sortValue(cell) {
  const text = cell.textContent.trim();
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  if (text === "" || text === MISSING) return null;
  return NUMBER.test(text) ? parseFloat(text.replace(/[<,]/g, "")) : text;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), "en", { numeric: true });
}

/** First ascending, then descending, then as it was. */
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function sortBy(table, heading, place) {
  const direction = NEXT[heading.getAttribute("aria-sort")];
  for (const other of heading.parentElement.querySelectorAll("[aria-sort]")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", direction);
  const body = table.tBodies[0];
  table.original ??= [...body.rows];
  const rows = [...table.original];
  if (direction !== "none") {
    const sign = direction === "ascending" ? 1 : -1;
    const values = new Map(rows.map((row) => [row, sortValue(row.cells[place])]));
    rows.sort((one, other) => {
      const [a, b] = [values.get(one), values.get(other)];
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * compare(a, b);
    });
  }
  body.append(...rows);
}

function makeSortable(table) {
  const headings = [...table.tHead.rows].at(-1).cells;
  const first = headings[0].offsetWidth; // none yet in what is closed
  if (first) table.style.setProperty("--first", `${first + 8}px`); // headings over several columns stop beside it
  [...headings].forEach((heading, place) => {
    if (heading.tagName !== "TH") return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = heading.textContent;
    heading.replaceChildren(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, heading, place));
  });
}

/**
 * Search: of a card whose title or captions have every word all is shown; of another, the rows or runs that have them
 * together with the title; and all again where nothing but the lines below it has them.
 */
function makeSearch() {
  const input = document.getElementById("search");
  if (!input) return;
  const wordsOf = (element) => element.textContent.toLowerCase();
  const cards = [...document.querySelectorAll("[data-card]")].map((card) => {
    const title = document.getElementById(card.getAttribute("aria-labelledby"));
    const name = wordsOf(title);
    const parts = [...card.querySelectorAll(card.dataset.card === "runs" ? "details" : "tbody tr")];
    return {
      card,
      title,
      name: `${name} ${[...card.querySelectorAll("caption")].map(wordsOf).join(" ")}`,
      parts: parts.map((part) => ({ part, words: `${name} ${wordsOf(part)}` })),
      all: `${name} ${wordsOf(card)}`,
    };
  });
  const status = document.getElementById("matches");
  const show = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const hasAll = (words) => wanted.every((word) => words.includes(word));
    let [rows, places] = [0, 0];
    for (const { card, title, name, parts, all } of cards) {
      let matching = hasAll(name) ? parts : parts.filter(({ words }) => hasAll(words));
      const some = matching.length > 0 || hasAll(all);
      const narrowed = matching.length > 0 && matching.length < parts.length;
      if (some && !matching.length) matching = parts;
      for (const { part } of parts) part.hidden = true;
      for (const { part } of matching) part.hidden = !some;
      card.hidden = !some;
      if (title.tagName === "H3" && !card.contains(title)) title.hidden = !some;
      if (card.dataset.card !== "runs" && narrowed)
        for (const closed of card.querySelectorAll("details"))
          if (closed.querySelector("tbody tr:not([hidden])")) closed.open = true;
      if (some) [rows, places] = [rows + matching.length, places + 1];
    }
    for (const section of document.querySelectorAll("[data-section]"))
      section.hidden = wanted.length > 0 && !section.querySelector("[data-card]:not([hidden])");
    const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
    const found = places ? `${counted(rows, "row")} in ${counted(places, "place")}` : "Nothing has all of these words";
    status.textContent = wanted.length ? found : "";
  };
  input.addEventListener("input", show);
  if (input.value) show(); // what a browser kept from an earlier visit
}

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [336, 150, 52, 10, 24, 22];

function svg(name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const short = (value) => String(Number(value.toPrecision(3)));

/** A curve over epochs, with the best epoch marked; a value that is no number leaves a gap. */
function drawCurve(name, values, best) {
  const known = values.filter((value) => value !== null);
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const x = (epoch) => LEFT + ((WIDTH - LEFT - RIGHT) * (epoch - 1)) / Math.max(values.length - 1, 1);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - TOP - BOTTOM) * (value - low)) / (high - low || 1);
  const what = name === "loss" ? "training loss" : `validation ${name}`;
  const range = known.length ? `from ${short(known[0])} to ${short(known.at(-1))}` : "no number";
  const picture = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": `${what}, ${range} over ${values.length} epochs; the best epoch is ${best}`,
  });
  picture.append(svg("text", { x: 8, y: 15 }, what));
  picture.append(svg("text", { x: LEFT - 6, y: y(high) + 4, "text-anchor": "end" }, short(high)));
  picture.append(svg("text", { x: LEFT - 6, y: y(low) + 4, "text-anchor": "end" }, low === high ? "" : short(low)));
  picture.append(svg("text", { x: LEFT, y: HEIGHT - 6 }, "epoch 1"));
  picture.append(svg("text", { x: WIDTH - RIGHT, y: HEIGHT - 6, "text-anchor": "end" }, values.length));
  picture.append(svg("line", { class: "best", x1: x(best), x2: x(best), y1: TOP, y2: HEIGHT - BOTTOM }));
  let points = [];
  const finish = () => {
    if (points.length > 1) picture.append(svg("polyline", { points: points.join(" ") }));
    if (points.length === 1) picture.append(svg("circle", { cx: points[0].split(",")[0], cy: points[0].split(",")[1], r: 2 }));
    points = [];
  };
  values.forEach((value, place) => {
    if (value === null) finish();
    else points.push(`${x(place + 1).toFixed(1)},${y(value).toFixed(1)}`);
  });
  finish();
  const figure = document.createElement("figure");
  figure.append(picture);
  return figure;
}

function makeCurves() {
  const holder = document.getElementById("curve-data");
  if (!holder) return;
  const runs = JSON.parse(holder.textContent);
  for (const details of document.querySelectorAll("details[data-run]")) {
    const draw = () => {
      const { best, curves } = runs[details.dataset.run];
      if (curves.length) details.querySelector(".curves").replaceChildren(...curves.map((c) => drawCurve(c[0], c[1], best)));
    };
    details.addEventListener("toggle", draw, { once: true });
  }
}

/** A link to something closed opens it. */
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target instanceof HTMLDetailsElement) target.open = true;
}

/** On a narrow screen the contents would fill the first pages. */
function foldContents() {
  const contents = document.getElementById("contents");
  if (contents && matchMedia("(max-width: 40rem)").matches) contents.open = false;
}

foldContents();
document.querySelectorAll("table.sortable").forEach(makeSortable);
makeSearch();
makeCurves();
window.addEventListener("hashchange", openTarget);
openTarget();
for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;
