// Taking a decision: one dialog that says what will happen, one POST, one sentence about how it went.
import * as api from "./api.js";
import { destinationLine, draftOf, warnings, willSend } from "./card.js";
import { absolute } from "./clock.js";
import { byId, element } from "./dom.js";
import { hiddenCount, withoutHidden } from "./text.js";

const MAX_TEXT = 65_536;
const MAX_REASON = 8_192;
const PAST = { approve: "approved", edit: "edited and approved", respond: "sent back", reject: "rejected" };
const DONE = {
  approve: "Approved. The reply is on its way.",
  edit: "Approved with your text. The reply is on its way.",
  respond: "Sent back. A new draft will come for approval.",
  reject: "Rejected. Nothing is sent.",
};

const FORMS = {
  approve: { title: "Send this reply?", confirm: "Approve and send" },
  edit: {
    title: "Edit the reply",
    field: "text",
    label: "Your text replaces the draft",
    confirm: "Approve edited text",
    limit: MAX_TEXT,
  },
  respond: {
    title: "Send back",
    field: "reason",
    label: "What should change?",
    confirm: "Send back",
    limit: MAX_REASON,
  },
  reject: {
    title: "Reject",
    field: "reason",
    label: "Why? Nothing is sent to the author.",
    confirm: "Reject",
    limit: MAX_REASON,
  },
};

// What was typed and not yet sent survives a closed dialog, a changed card and a new sign-in. In memory only: it is customers' text.
const typed = new Map();
const typedKey = (card, verdict) => `${card.approval_id} ${verdict}`;

/** Whether text was typed that no decision carried yet. */
export const hasUnsent = () => typed.size > 0;

/** One sentence for a decision or a read that went wrong. */
export function sentence(error) {
  const { status, body } = error;
  if (status === 409 && body.decided_by) {
    const how = PAST[body.verdict] ?? "decided";
    return `Already ${how} by ${body.decided_by}${body.decided_at ? ` on ${absolute(body.decided_at)}` : ""}; your decision was not taken.`;
  }
  if (status === 409)
    return "This card changed after it was shown to you, so nothing was decided. Please look at it again.";
  if (status === 410) return "The deadline has passed, so nothing was decided and nothing is sent.";
  if (status === 403) return `You are not allowed to decide this. ${error.message}`.trim();
  if (status === 404) return "This approval does not exist.";
  if (status === 422) return `That was not accepted: ${error.message || "something is missing"}.`.replace("..", ".");
  if (status === 429) return "Too many requests just now. Please try again in a moment.";
  if (status === 0) return "No answer from the service. Check your connection and try again.";
  return `The service had a problem (${status}). Please try again.`;
}

function fieldNodes(form, card, verdict, changed) {
  const start = verdict === "edit" ? draftOf(card).text : "";
  const key = typedKey(card, verdict);
  const area = element("textarea", {
    id: "decision-field",
    rows: verdict === "edit" ? "14" : "5",
    required: true,
    spellcheck: "true",
  });
  area.value = typed.get(key) ?? start;
  const note = element("p.hint", { role: "status" });
  const restore = element("button.quiet", { type: "button" }, "Start again from the draft");
  const clean = element("button.quiet", { type: "button" }, "Remove hidden characters");
  const update = () => {
    const { value } = area;
    if (value === start) typed.delete(key);
    else typed.set(key, value);
    const hidden = hiddenCount(value);
    const over = Array.from(value).length - form.limit;
    note.textContent =
      over > 0
        ? `${over} characters too long.`
        : hidden
          ? `Hidden or look-alike characters in ${hidden} place(s).`
          : "";
    restore.hidden = verdict !== "edit" || !start || value === start;
    clean.hidden = withoutHidden(value) === value;
    changed(value.trim() !== "" && value !== start && over <= 0);
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
    nodes: [element("label", { for: "decision-field" }, form.label), area, note, element("p.tools", restore, clean)],
    area,
    update,
  };
}

/**
 * Ask for one decision on `card` and send it.
 * `settled(sentence, tone)` is called once the card is no longer what it was: decided, by us or by another, stale or expired.
 */
export function ask(card, verdict, settled) {
  const form = FORMS[verdict];
  const dialog = byId("decision");
  const failure = element("p.notice.notice-bad", { role: "alert", hidden: true });
  const confirm = element(verdict === "reject" ? "button.danger" : "button.primary", form.confirm);
  const cancel = element("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const sends = verdict === "approve" || verdict === "edit";
  const field = form.field ? fieldNodes(form, card, verdict, (ready) => (confirm.disabled = !ready)) : null;

  const risks = verdict === "approve" ? warnings(card) : [];
  const anyway = element("input", { type: "checkbox", id: "decision-anyway" });
  if (risks.length) {
    confirm.disabled = true;
    anyway.addEventListener("change", () => (confirm.disabled = !anyway.checked));
  }

  const node = element(
    "form",
    { method: "dialog", novalidate: true },
    element("h2", { id: "decision-title" }, verdict === "edit" && !draftOf(card).text ? "Write the reply" : form.title),
    risks.length > 0 &&
      element(
        "ul.notice.notice-warn.risks",
        risks.map((risk) => element("li", risk)),
      ),
    sends && destinationLine(card.destination),
    verdict === "approve" && willSend(card),
    field?.nodes,
    risks.length > 0 && element("label.check", anyway, " I have seen this; send it anyway"),
    failure,
    element("div.buttons", cancel, confirm),
  );
  node.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (confirm.disabled) return;
    confirm.disabled = cancel.disabled = true;
    failure.hidden = true;
    node.setAttribute("aria-busy", "true");
    const body = { verdict, shown_sha256: card.shown_sha256 };
    if (field) body[form.field] = field.area.value;
    try {
      await api.decide(card.approval_id, body);
      typed.delete(typedKey(card, verdict));
      dialog.close();
      settled(DONE[verdict], "good");
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if ([404, 409, 410].includes(error.status)) {
        dialog.close();
        settled(sentence(error), "bad");
      } else if (error.status === 401) {
        dialog.close();
      } else {
        // Without an answer the decision may still have been taken; asking again is safe, it is taken once.
        failure.textContent =
          error.status === 0
            ? "No answer came. Trying again is safe: a decision is only ever taken once."
            : sentence(error);
        failure.hidden = false;
      }
    } finally {
      cancel.disabled = confirm.disabled = false;
      node.removeAttribute("aria-busy");
    }
  });
  node.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) node.requestSubmit();
  });
  // Escape while the answer is on its way would hide how it went.
  dialog.oncancel = (event) => {
    if (node.hasAttribute("aria-busy")) event.preventDefault();
  };
  dialog.replaceChildren(node);
  dialog.showModal();
  field?.update();
  (field?.area ?? (risks.length ? anyway : confirm)).focus();
}
