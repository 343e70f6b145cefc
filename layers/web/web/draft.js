// A draft with its claims marked and its citations to open, and the passages they point into.
import { percent } from "./chips.js";
import { byId, element, spoken } from "./dom.js";
import { literal, Points } from "./text.js";

const SIGNS = { supported: "✓", unsupported: "?", contradicted: "✗" };
const MARKER = /\[(\d{1,3})\]/g;

/**
 * Where the markers of a draft lead: `name(n)` is the document of passage n, undefined where there is none;
 * `quote(n)` is which of its quotes the next `[n]` means. Each marker has its own quote where there are as many of
 * both; otherwise null, the first one.
 */
function sourcesOf(draft, passages) {
  const names = new Map(passages.map((passage) => [passage.marker, passage.document]));
  const used = Map.groupBy(draft.text.matchAll(MARKER), (match) => Number(match[1]));
  const quoted = Map.groupBy(draft.citations, (citation) => citation.marker);
  const next = new Map();
  return {
    name: (number) => names.get(number),
    quote(number) {
      const index = next.get(number) ?? 0;
      next.set(number, index + 1);
      return used.get(number)?.length === quoted.get(number)?.length ? index : null;
    },
  };
}

function marker(number, sources) {
  const text = `[${number}]`;
  const source = sources.name(number);
  const quote = sources.quote(number);
  if (!source) {
    return element("span.cite.cite-lost", { title: "No passage has this number" }, text, spoken(" no such source"));
  }
  const label = `Source ${number}: ${source}`;
  return element(
    "button.cite",
    { type: "button", title: label, "aria-label": label, onclick: (event) => openPassage(number, event.currentTarget, quote) },
    text,
  );
}

/** Literal text in which `[n]` opens passage n. */
function withMarkers(text, sources) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(MARKER)) {
    nodes.push(...literal(text.slice(from, match.index)), marker(Number(match[1]), sources));
    from = match.index + match[0].length;
  }
  nodes.push(...literal(text.slice(from)));
  return nodes;
}

function claimNode(text, claim, index, sources) {
  return element(
    `span.claim.claim-${claim.verdict}`,
    { id: `claim-${index}`, tabindex: "-1", title: `${claim.verdict}, support ${percent(claim.score)}` },
    element("span.claim-sign", { "aria-hidden": "true" }, SIGNS[claim.verdict] ?? "?"),
    spoken(` ${claim.verdict}: `),
    withMarkers(text, sources),
    claim.verdict !== "supported" && element("span.claim-tag", { "aria-hidden": "true" }, claim.verdict),
  );
}

/** The draft's text: claims marked by how the evidence bears on them, by sign, line and words, not by colour alone. */
export function draftText(draft, passages) {
  const points = new Points(draft.text);
  const sources = sourcesOf(draft, passages);
  const nodes = [];
  let from = 0;
  const claims = draft.claims.map((claim, index) => ({ claim, index }));
  for (const { claim, index } of claims.sort((a, b) => a.claim.start - b.claim.start)) {
    const start = Math.max(claim.start, from);
    const end = Math.min(claim.end, points.length);
    if (end <= start) continue;
    const between = withMarkers(points.slice(from, start), sources);
    nodes.push(...between, claimNode(points.slice(start, end), claim, index, sources));
    from = end;
  }
  nodes.push(...withMarkers(points.slice(from, points.length), sources));
  return element("div.draft.literal", nodes);
}

/** A passage with the quoted ranges highlighted; overlapping quotes are joined. */
function passageText(passage, citations) {
  const points = new Points(passage.text);
  const nodes = [];
  let from = 0;
  for (const { start, end, quote } of [...citations].sort((a, b) => a.start - b.start)) {
    const first = Math.max(start, from);
    const last = Math.min(end, points.length);
    if (last <= first) continue;
    nodes.push(...literal(points.slice(from, first)), element("mark", { "data-quote": String(quote) }, literal(points.slice(first, last))));
    from = last;
  }
  nodes.push(...literal(points.slice(from, points.length)));
  return element("div.literal.passage-text", nodes);
}

/** One source: closed it shows its document and score, open its text with the exact quotes marked. */
export function passageNode(passage, citations) {
  const points = new Points(passage.text);
  const own = citations.filter((c) => c.marker === passage.marker && c.passage_id === passage.passage_id);
  const exact = own.flatMap(({ start, end, quote: words }, quote) =>
    points.slice(start, end) === words ? [{ start, end, quote }] : [],
  );
  const wrong = own.filter((c) => points.slice(c.start, c.end) !== c.quote);
  return element(
    "details.passage",
    { id: `passage-${passage.marker}` },
    element(
      "summary",
      element("span.cite", `[${passage.marker}]`),
      " ",
      element("span.passage-name", literal(passage.document)),
      " ",
      element("span.passage-score", own.length ? "" : "not cited · ", `score ${passage.score.toFixed(2)}`),
    ),
    passageText(passage, exact),
    element("button.quiet.passage-back", { type: "button", hidden: true }, "Back to the draft"),
    wrong.map((c) => element("p.notice.notice-bad", "Quoted, but not found in the passage: “", literal(c.quote), "”")),
    element("p.hint.literal", literal(passage.source_uri)),
  );
}

function flash(node, name) {
  node.classList.remove(name);
  requestAnimationFrame(() => node.classList.add(name));
}

/**
 * Open passage `number`, focus it and bring one of its quotes into view.
 * `from` is where its way back leads; `quote` counts the passage's citations, null means the first.
 */
export function openPassage(number, from = null, quote = null) {
  const passage = byId(`passage-${number}`);
  if (!passage) return;
  passage.open = true;
  const back = passage.querySelector(".passage-back");
  back.hidden = from === null;
  back.onclick = () => from.focus();
  passage.querySelector("summary").focus({ preventScroll: true });
  for (const old of document.querySelectorAll(".quote-shown")) old.classList.remove("quote-shown");
  const mark = passage.querySelector(`mark[data-quote="${quote}"]`) ?? passage.querySelector("mark");
  (mark ?? passage).scrollIntoView({ block: "center" });
  if (mark) flash(mark, "quote-shown");
}

/** Bring claim `index` of the draft into view and focus it. */
export function showClaim(index) {
  const claim = byId(`claim-${index}`);
  if (!claim) return;
  claim.focus({ preventScroll: true });
  claim.scrollIntoView({ block: "center" });
  flash(claim, "claim-shown");
}
