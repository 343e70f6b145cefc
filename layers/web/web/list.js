// The list of approvals at the left: pending ones by deadline, decided ones by time.
import { percent, riskChip, verdictChip } from "./chips.js";
import { age, deadline } from "./clock.js";
import { byId, chip, element } from "./dom.js";
import { literal } from "./text.js";

function row(approval, view, source) {
  const { approval_id: id, reviewer_score: score, decided_by: person } = approval;
  const facts =
    view === "pending"
      ? [
          riskChip(approval.risk),
          chip(typeof score === "number" ? `review ${percent(score)}` : "no review"),
          approval.escalated && chip("escalated", "warn"),
          element("span.row-deadline", deadline(approval.expires_at)),
        ]
      : [verdictChip(approval.verdict), person && element("span", "by ", literal(person))];
  return element(
    "a.row",
    { href: `#view=${view}&approval=${encodeURIComponent(id)}`, "data-id": id },
    element("span.row-subject", literal(approval.subject || "(no subject)")),
    element("span.row-meta", source && [literal(source), " · "], age(approval.decided_at ?? approval.requested_at)),
    element("span.row-facts", facts),
  );
}

const links = () => [...byId("rows").querySelectorAll("a")];

export const link = (id) => links().find((node) => node.dataset.id === id);

/** Show `approvals`, keeping the focus on its row; `sources` maps a case_id to its source where known. */
export function showRows(approvals, view, sources) {
  const { id } = document.activeElement.dataset;
  const items = approvals.map((approval) => element("li", row(approval, view, sources.get(approval.case_id))));
  byId("rows").replaceChildren(...items);
  byId("rows-empty").hidden = approvals.length > 0;
  if (id) (link(id) ?? byId("main")).focus({ preventScroll: true });
}

/** Mark the open approval, or none. */
export function select(id) {
  for (const node of links()) {
    if (node.dataset.id === id) node.setAttribute("aria-current", "true");
    else node.removeAttribute("aria-current");
  }
}

/** The row `step` places after the focused or else the open one, held at both ends; the first where there is neither. */
export function neighbour(step, openId) {
  const rows = links();
  const focused = rows.indexOf(document.activeElement);
  const from = focused >= 0 ? focused : rows.indexOf(link(openId));
  return rows[from < 0 ? 0 : Math.min(Math.max(from + step, 0), rows.length - 1)];
}
