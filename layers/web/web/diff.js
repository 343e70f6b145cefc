// What a person changed in a draft, word by word.
import { element } from "./dom.js";
import { literal } from "./text.js";

const WORDS = /\s|[\p{L}\p{N}\p{M}]+|[^]/gu;
// Myers' search costs the square of the edits: beyond this many the changed middle is shown as replaced whole.
const MOST_EDITS = 800;
const CONTEXT = 120;

/**
 * The shortest edit from `a` to `b` (E. W. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986).
 * @returns {["same" | "gone" | "new", string][] | null} In order; null where it takes more than MOST_EDITS.
 */
function shortestEdit(a, b) {
  const most = Math.min(a.length + b.length, MOST_EDITS);
  const middle = most + 1;
  const reach = new Int32Array(2 * most + 3);
  const trace = [];
  for (let edits = 0; edits <= most; edits++) {
    trace.push(reach.slice());
    for (let k = -edits; k <= edits; k += 2) {
      const down = k === -edits || (k !== edits && reach[middle + k - 1] < reach[middle + k + 1]);
      let x = down ? reach[middle + k + 1] : reach[middle + k - 1] + 1;
      while (x < a.length && x - k < b.length && a[x] === b[x - k]) x++;
      reach[middle + k] = x;
      if (x >= a.length && x - k >= b.length) return walkBack(a, b, trace, middle);
    }
  }
  return null;
}

function walkBack(a, b, trace, middle) {
  const steps = [];
  let x = a.length;
  let y = b.length;
  for (let edits = trace.length - 1; edits >= 0; edits--) {
    const reach = trace[edits];
    const k = x - y;
    const down = k === -edits || (k !== edits && reach[middle + k - 1] < reach[middle + k + 1]);
    const fromX = reach[middle + (down ? k + 1 : k - 1)];
    const fromY = fromX - (down ? k + 1 : k - 1);
    while (x > fromX && y > fromY) {
      steps.push(["same", a[--x]]);
      y--;
    }
    if (edits) steps.push(down ? ["new", b[--y]] : ["gone", a[--x]]);
  }
  return steps.reverse();
}

/** Neighbouring steps joined; a lone space between two edits belongs to them, so that phrases read as one. */
function joined(steps) {
  const runs = [];
  let same = "";
  let gone = "";
  let fresh = "";
  const flush = () => {
    if (same) runs.push({ kind: "same", text: same });
    if (gone) runs.push({ kind: "gone", text: gone });
    if (fresh) runs.push({ kind: "new", text: fresh });
    same = gone = fresh = "";
  };
  steps.forEach(([kind, text], index) => {
    const between = (gone || fresh) && /^\s$/.test(text) && (steps[index + 1]?.[0] ?? "same") !== "same";
    if (kind !== "same" || between) {
      if (same) flush();
      if (kind !== "new") gone += text;
      if (kind !== "gone") fresh += text;
    } else {
      if (gone || fresh) flush();
      same += text;
    }
  });
  flush();
  return runs;
}

/**
 * The changes from one text to another.
 * @returns {{kind: "same" | "gone" | "new", text: string}[]} "same" and "gone" joined give `before`, "same" and "new" `after`.
 */
export function changes(before, after) {
  const a = before.match(WORDS) ?? [];
  const b = after.match(WORDS) ?? [];
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const cutA = a.slice(start, a.length - end);
  const cutB = b.slice(start, b.length - end);
  const all = (kind, words) => words.map((word) => [kind, word]);
  const middle = shortestEdit(cutA, cutB) ?? [...all("gone", cutA), ...all("new", cutB)];
  return joined([...all("same", a.slice(0, start)), ...middle, ...all("same", a.slice(a.length - end))]);
}

/** The unchanged text around edits, its long middle left out. */
function context(text, first, last) {
  const points = Array.from(text);
  const head = first ? 0 : CONTEXT;
  const tail = last ? 0 : CONTEXT;
  if (points.length <= head + tail + 20) return literal(text);
  const gap = element("span.hint", " … ");
  return [
    ...literal(points.slice(0, head).join("")),
    gap,
    ...literal(points.slice(points.length - tail).join("")),
  ];
}

/** Both texts in one, deleted and added words marked; line ends that changed are drawn. */
export function changesNode(before, after) {
  const runs = changes(before, after);
  return element(
    "div.literal.changes",
    { tabindex: "0", role: "region", "aria-label": "Your changes to the draft" },
    runs.map(({ kind, text }, index) => {
      if (kind === "same") return context(text, index === 0, index === runs.length - 1);
      return element(kind === "gone" ? "del" : "ins", literal(text.replaceAll("\n", "↵\n")));
    }),
  );
}
