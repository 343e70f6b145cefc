// Taking a decision: one dialog that says what will happen, one POST, one sentence about how it went.
import * as api from "./api.js";
import { actionWarning, destinationLine, draftOf, offWarning, warnings, willSend } from "./card.js";
import { byId, element } from "./dom.js";
import { editorNode } from "./editor.js";
import { sentence } from "./errors.js";
import { forget, typedFor } from "./typed.js";

const MAX_TEXT = 65_536;
const MAX_REASON = 8_192;
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

function fieldOf(form, card, verdict) {
  const { text, citations } = draftOf(card);
  return {
    approvalId: card.approval_id,
    verdict,
    label: verdict === "edit" && !text ? "Your reply" : form.label,
    limit: form.limit,
    draft: verdict === "edit" ? text : null,
    citations,
  };
}

/** Close the dialog where nothing is on its way; what was typed in it stays. */
export function dismiss() {
  const dialog = byId("decision");
  if (dialog.open && !dialog.querySelector("[aria-busy]")) dialog.close();
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
  const risks = { approve: warnings(card), edit: [...offWarning(card), ...actionWarning(card)] }[verdict] ?? [];
  const anyway = element("input", { type: "checkbox", id: "decision-anyway" });
  let written = !form.field;
  const judge = () => (confirm.disabled = !written || (risks.length > 0 && !anyway.checked));
  anyway.addEventListener("change", judge);
  const field =
    form.field &&
    editorNode(fieldOf(form, card, verdict), (ready) => {
      written = ready;
      judge();
    });
  judge();

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
    field && field.nodes,
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
      forget(card.approval_id, verdict);
      dialog.close();
      settled(DONE[verdict], "good");
    } catch (error) {
      if (!(error instanceof api.ApiError)) throw error;
      if ([404, 409, 410].includes(error.status)) {
        dialog.close();
        const kept = typedFor(card.approval_id, verdict) === undefined ? "" : " What you typed is kept.";
        settled(sentence(error) + kept, "bad");
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
      cancel.disabled = false;
      judge();
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
  if (field) field.update();
  (field?.area ?? (risks.length ? anyway : confirm)).focus();
}
