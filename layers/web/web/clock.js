// Times in words, kept current while the page is open.
import { element } from "./dom.js";

const UNITS = [
  ["d", 86400],
  ["h", 3600],
  ["min", 60],
];

/** A length of time in its largest `parts` whole units, e.g. `3 h` or `2 d 23 h`; under a minute in words. */
export function span(seconds, parts = 1) {
  const words = [];
  let left = seconds;
  for (const [unit, size] of UNITS) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count && words.length < parts) words.push(`${count} ${unit}`);
  }
  return words.join(" ") || "less than a minute";
}

function words(kind, at) {
  const seconds = (at - Date.now()) / 1000;
  if (kind === "age") return seconds > -60 ? "just now" : `${span(-seconds)} ago`;
  return seconds > 0 ? `due in ${span(seconds, 2)}` : "past its deadline";
}

const isSoon = (at) => at - Date.now() < 30 * 60 * 1000;

/** An absolute time as people here write it. */
export const absolute = (iso) => new Date(iso).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });

function relative(kind, iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return element("span", "at an unknown time");
  const late = kind === "deadline" && isSoon(at);
  const attributes = { datetime: iso, title: absolute(iso), "data-relative": kind };
  return element(late ? "time.soon" : "time", attributes, words(kind, at));
}

export const age = (iso) => relative("age", iso);
export const deadline = (iso) => relative("deadline", iso);

/** Bring every relative time on the page up to date. */
export function tick() {
  for (const node of document.querySelectorAll("time[data-relative]")) {
    const { relative: kind } = node.dataset;
    const at = Date.parse(node.dateTime);
    node.textContent = words(kind, at);
    node.classList.toggle("soon", kind === "deadline" && isSoon(at));
  }
}
