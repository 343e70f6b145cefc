// What became of a case: its state, followed while it moves, and its timeline.
import { theCase } from "./api.js";
import { absolute } from "./clock.js";
import { element } from "./dom.js";
import { literal } from "./text.js";

const MOVING = new Set(["received", "queued", "running", "delivering"]);
const FIRST_MS = 1_000;
const SLOWEST_MS = 20_000;

const words = (name) => name.replaceAll(/[_.]/g, " ");

/** Where the case of a decided card stands now, asked for again while it is still on its way. */
export function caseState(card) {
  const node = element("span", { role: "status" });
  let delay = FIRST_MS;
  const look = async () => {
    try {
      const { status, approval_id: latest } = await theCase(card.case_id);
      const state = ["The case is ", element("b.case-status", words(status)), "."];
      const redrafted = status === "awaiting_approval" && latest && latest !== card.approval_id;
      const address = redrafted && `#view=pending&approval=${encodeURIComponent(latest)}`;
      if (node.textContent !== state.map((part) => part.textContent ?? part).join("") || redrafted)
        node.replaceChildren(...state, ...(redrafted ? [" ", element("a", { href: address }, "Open the new draft")] : []));
      if (!MOVING.has(status)) return;
    } catch {
      // The sentence is a convenience; the history says the same and says so where it cannot.
    }
    delay = Math.min(delay * 1.4, SLOWEST_MS);
    setTimeout(() => node.isConnected && look(), delay);
  };
  look();
  return node;
}

/** What a step took, or why it failed; "" where the history holds neither. */
function took({ error, model_calls: calls, input_tokens: read, output_tokens: written, cost_usd: cost, status }) {
  const facts = [];
  if (error) facts.push(String(error));
  if (Number.isInteger(status)) facts.push(`answered ${status}`);
  if (calls) facts.push(`${read.toLocaleString()} tokens in, ${written.toLocaleString()} out`);
  if (calls && cost) facts.push(`$${cost}`);
  return facts.join(" · ");
}

const line = ({ at, event, actor, detail }) =>
  element(
    "li",
    element("time", { datetime: at }, absolute(at)),
    element("span", literal(words(event.replace(/^step\./, "")))),
    element("span.hint", literal([actor, took(detail ?? {})].filter(Boolean).join(" · "))),
  );

/** The case's history, fetched whenever it is opened. */
export function historySection(card) {
  const content = element("div", { "aria-live": "polite" });
  const load = async () => {
    try {
      const { status, timeline } = await theCase(card.case_id);
      const state = element("p", "The case is ", element("b", words(status)), ".");
      content.replaceChildren(state, element("ol.timeline", timeline.map(line)));
    } catch {
      content.replaceChildren("The history could not be loaded. Close and open it to try again.");
    }
  };
  const ontoggle = (event) => event.target.open && load();
  return element("details.history", { ontoggle }, element("summary", "History of the case"), content);
}
