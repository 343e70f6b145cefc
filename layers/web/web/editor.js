// The text a person writes in a decision: kept while it is not sent, checked as it is typed, compared with the draft.
import { changesNode } from "./diff.js";
import { element } from "./dom.js";
import { hiddenCount, withoutHidden } from "./text.js";
import { forget, keep, typedFor } from "./typed.js";

const PAUSE_MS = 150;

/** A textarea reports its line ends as LF whatever it was given. */
const asTyped = (text) => text.replace(/\r\n?/g, "\n");

function sourcesLine(text, citations) {
  const standing = citations.filter(({ marker }) => text.includes(`[${marker}]`));
  const names = [...new Set(standing.map(({ marker, document }) => `[${marker}] ${document}`))];
  return names.length ? `Sources sent along: ${names.join(", ")}.` : "No source is cited.";
}

function problems(value, start, limit) {
  const over = Array.from(value).length - limit;
  if (over > 0) return `${over} characters too long.`;
  const hidden = hiddenCount(value);
  if (hidden) return `Hidden or look-alike characters in ${hidden} ${hidden === 1 ? "place" : "places"}.`;
  return start && value === start ? "Nothing is changed yet." : "";
}

/**
 * The field of a decision with all that belongs to it.
 * @param field `{approvalId, verdict, label, limit, draft, citations}`; `draft` is null where the text is not a reply.
 * @param changed called with whether the text can be sent, whenever that may have changed.
 */
export function editorNode({ approvalId, verdict, label, limit, draft, citations }, changed) {
  const start = asTyped(draft ?? "");
  const area = element("textarea", {
    id: "decision-field",
    rows: draft === null ? "5" : "11",
    required: true,
    spellcheck: "true",
    "aria-describedby": "decision-note",
  });
  area.value = typedFor(approvalId, verdict) ?? start;
  const note = element("p.hint", { id: "decision-note", role: "status" });
  const restore = element("button.quiet", { type: "button" }, "Start again from the draft");
  const clean = element("button.quiet", { type: "button" }, "Remove hidden characters");
  const compared = element("div");
  let timer = null;

  const compare = () => {
    const { value } = area;
    const edited = start && value !== start;
    compared.replaceChildren(
      ...(edited ? [element("h3", "Your changes"), changesNode(start, value)] : []),
      ...(draft === null ? [] : [element("p.hint.sources", sourcesLine(value, citations))]),
    );
  };
  const update = () => {
    const { value } = area;
    if (value === start) forget(approvalId, verdict);
    else keep(approvalId, verdict, value);
    const problem = problems(value, start, limit);
    if (note.textContent !== problem) note.textContent = problem;
    restore.hidden = !start || value === start;
    clean.hidden = withoutHidden(value) === value;
    changed(value.trim() !== "" && value !== start && Array.from(value).length <= limit);
    clearTimeout(timer);
    timer = setTimeout(compare, PAUSE_MS);
  };
  const put = (value) => {
    area.value = value;
    update();
    area.focus();
  };
  restore.addEventListener("click", () => put(start));
  clean.addEventListener("click", () => put(withoutHidden(area.value)));
  area.addEventListener("input", update);
  return {
    area,
    update,
    nodes: [
      element("label", { for: "decision-field" }, label),
      area,
      note,
      element("p.tools", restore, clean),
      compared,
    ],
  };
}
