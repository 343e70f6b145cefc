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

function problem(value, limit) {
  const over = Array.from(value).length - limit;
  if (over > 0) return `${over} characters too long.`;
  const hidden = hiddenCount(value);
  return hidden ? `Hidden or look-alike characters in ${hidden} ${hidden === 1 ? "place" : "places"}.` : "";
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
  const compared = element("div.compared");
  let timer = null;

  const compare = () => {
    const { value } = area;
    if (draft === null) return;
    const sources = element("p.hint.sources", sourcesLine(value, citations));
    // The place for the changes is always there: nothing may move under a finger on its way to a button.
    const box = value === start ? element("p.changes.hint", "Nothing is changed yet.") : changesNode(start, value);
    compared.replaceChildren(...(start ? [element("h3", "Your changes"), box] : []), sources);
  };
  const update = () => {
    const { value } = area;
    if (value === start) forget(approvalId, verdict);
    else keep(approvalId, verdict, value);
    const found = problem(value, limit);
    if (note.textContent !== found) note.textContent = found;
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
  compare();
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
