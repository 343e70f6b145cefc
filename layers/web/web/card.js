// The evidence card: what was asked, what would be sent, what it rests on, what it cost.
import { percent, riskChip, verdictChip } from "./chips.js";
import { absolute, age, deadline } from "./clock.js";
import { chip, element } from "./dom.js";
import { draftText, passageNode, showClaim } from "./draft.js";
import { caseState, historySection } from "./history.js";
import { hiddenCount, literal, outsideLink, plural } from "./text.js";
import { forget, unsent } from "./typed.js";

const CHANNELS = {
  callback: "Callback address of the sender",
  github_issue: "Comment on a GitHub issue",
  github_discussion: "Reply in a GitHub discussion",
  slack_thread: "Message in a thread of Slack",
};

/** Whether a person can still decide this card, as far as it tells. */
export const isOpen = (card) => card.status === "pending" && !card.decision;

/** The draft of a card; a case whose models failed has none, which reads as an empty one. */
export const draftOf = (card) => card.draft ?? { text: "", claims: [], citations: [], actions: [] };

/** That a decision allows actions besides the reply; empty where the draft proposes none. */
export function actionWarning(card) {
  const { actions } = draftOf(card);
  return actions.length ? [`Approving also allows ${plural(actions.length, "proposed action")}.`] : [];
}

/** That nothing is sent to where this goes until somebody turns it on; empty where it is on. */
export function offWarning(card) {
  const since = card.destination.off_since;
  return since
    ? [`The destination is switched off since ${absolute(since)}: its receiver was gone. Nothing is sent until it is on.`]
    : [];
}

/** What a person should know before this goes out, each in one sentence; empty where nothing stands out. */
export function warnings(card) {
  const draft = draftOf(card);
  const count = (verdict) => draft.claims.filter((claim) => claim.verdict === verdict).length;
  const found = offWarning(card);
  const contradicted = count("contradicted");
  const unsupported = count("unsupported");
  const hidden = hiddenCount(card.will_send);
  if (contradicted) found.push(`The evidence contradicts ${plural(contradicted, "claim")}.`);
  if (unsupported) found.push(`The evidence does not support ${plural(unsupported, "claim")}.`);
  if (hidden)
    found.push(`The reply holds hidden or look-alike characters in ${plural(hidden, "place")}, shown as labels.`);
  if (card.too_long_by) {
    found.push(`The reply is ${plural(card.too_long_by, "character")} longer than its channel takes: edit it.`);
  }
  if (card.risk === "high") found.push("The request was judged high risk.");
  if (card.review?.verdict === "revise") found.push("The reviewer would revise this draft.");
  return [...found, ...actionWarning(card)];
}

/** Channel and address, the address literally. */
export function destinationLine(destination) {
  return element(
    "p.destination",
    element("span.destination-channel", CHANNELS[destination.channel] ?? destination.channel),
    element("span.address.literal", literal(destination.address)),
  );
}

const exactBody = (text, label = "Exactly what is sent") =>
  element("div.literal.body", { tabindex: "0", role: "region", "aria-label": label }, literal(text));

/** The exact body that goes out. */
export const willSend = (card) => exactBody(card.will_send, "Exactly what will be sent");

const section = (title, ...content) => element("section", element("h3", title), ...content);

const hiddenNote = (text) => {
  const count = hiddenCount(text);
  const words = `Hidden or look-alike characters in ${plural(count, "place")}, shown as labels.`;
  return count > 0 && element("p.notice.notice-warn", words);
};

function requestSection({ request }) {
  return section(
    "Request",
    hiddenNote(request.subject + "\n" + request.text),
    element(
      "div.literal.asked",
      { tabindex: "0", role: "region", "aria-label": "Text of the request" },
      literal(request.text),
    ),
  );
}

function draftSection(card) {
  const draft = draftOf(card);
  if (!draft.text) {
    return section("Draft", element("p.empty", "There is no draft. Write the reply yourself, or reject."));
  }
  const count = (verdict) => `${draft.claims.filter((claim) => claim.verdict === verdict).length} ${verdict}`;
  const counts = ["supported", "unsupported", "contradicted"].map(count).join(", ");
  const legend = draft.claims.length > 0 && element("p.hint", `Claims: ${counts}. Numbers open the quoted passage.`);
  return section("Draft", hiddenNote(draft.text), draftText(draft, card.passages), legend);
}

function actionsSection(card) {
  const { actions } = draftOf(card);
  if (!actions.length) return null;
  return section(
    "Proposed actions",
    element(
      "ul.plain",
      actions.map((action) =>
        element(
          "li",
          element("code", literal(action.name)),
          element("div.literal.body", literal(JSON.stringify(action.arguments, null, 2))),
        ),
      ),
    ),
  );
}

function sendSection(card) {
  const where = destinationLine(card.destination);
  const signed = card.decision?.signed_text;
  const text = signed ?? card.will_send;
  if (!text) return section("Goes to", where);
  const title = signed ? "Signed to be sent" : card.decision ? "Proposed to be sent" : "Will be sent";
  return section(
    title,
    where,
    signed && card.decision.verdict === "edit" && element("p.hint", "A person wrote this in place of the draft."),
    element(
      "details.exact",
      { open: card.decision?.verdict === "edit" },
      element("summary", `Exact body, ${plural(Array.from(text).length, "character")}`),
      exactBody(text),
    ),
  );
}

function reviewSection({ review }) {
  if (!review) return section("Review", element("p.empty", "No review was made."));
  return section(
    "Review",
    element(
      "p.chips",
      chip(
        review.verdict === "accept" ? "reviewer accepts" : "reviewer would revise",
        review.verdict === "accept" ? "good" : "warn",
      ),
      chip(`score ${percent(review.score)}`),
      chip(`support ${percent(review.support)}`),
    ),
    review.summary && element("p.literal", literal(review.summary)),
    review.findings.length > 0 &&
      element(
        "ul.findings",
        review.findings.map(({ claim, problem }) =>
          element(
            "li.literal",
            Number.isInteger(claim) && [
              element("button.link", { type: "button", onclick: () => showClaim(claim) }, `Claim ${claim + 1}`),
              ": ",
            ],
            literal(problem),
          ),
        ),
      ),
  );
}

function evidenceSection(card) {
  const { citations } = draftOf(card);
  return section(
    "Evidence",
    card.passages.length
      ? card.passages.map((passage) => passageNode(passage, citations))
      : element("p.empty", "Nothing was found in the knowledge."),
  );
}

function costSection(card) {
  const { input_tokens: read, output_tokens: written, model_calls: calls } = card.usage;
  const fact = (name, ...value) => element("div", element("dt", name), element("dd", ...value));
  return section(
    "Cost and policy",
    element(
      "dl.facts",
      fact("Cost so far", card.cost_usd === null ? "no price known" : `$${card.cost_usd}`),
      fact("Model calls", String(calls)),
      fact("Tokens", `${read.toLocaleString()} in, ${written.toLocaleString()} out`),
      fact("Policy", literal(card.policy.name), ` v${card.policy.version}`),
      fact("Approval", `version ${card.version}`),
      fact("Case", element("code", card.case_id)),
    ),
  );
}

function banner(card) {
  const { decision } = card;
  if (decision) {
    return element(
      "p.notice",
      verdictChip(decision.verdict),
      decision.decided_by ? [" by ", element("b", literal(decision.decided_by))] : [],
      ` on ${absolute(decision.decided_at)}`,
      decision.reason ? [": “", literal(decision.reason), "” "] : [". "],
      caseState(card),
    );
  }
  if (card.status !== "pending") {
    return element("p.notice.notice-warn", "The deadline has passed; nothing was sent. ", caseState(card));
  }
  if (card.reason) {
    return element("p.notice.notice-warn", element("b", "This one needs you: "), literal(card.reason));
  }
  return null;
}

/** Text that was typed for a card which can no longer be decided: to be copied, never lost without a word. */
function unsentSection(card) {
  const entries = isOpen(card) ? [] : unsent(card.approval_id);
  if (!entries.length) return null;
  const content = entries.map(({ verdict, text }, index) => {
    const area = element("textarea", { id: `unsent-${index}`, rows: "4", readonly: true });
    area.value = text;
    const discard = () => {
      forget(card.approval_id, verdict);
      node.remove();
    };
    const node = element(
      "div",
      element("label", { for: area.id }, verdict === "edit" ? "Your reply, not sent" : "Your words, not sent"),
      area,
      element("p.tools", element("button.quiet", { type: "button", onclick: discard }, "Discard")),
    );
    return node;
  });
  return element("div.unsent", content);
}

function header(card) {
  const { request } = card;
  return element(
    "header.card-head",
    element("a.back", { href: "#view=" + (card.status === "pending" ? "pending" : "decided") }, "‹ All approvals"),
    element("h2", { id: "card-title", tabindex: "-1" }, literal(card.subject || "(no subject)")),
    element(
      "p.byline",
      literal(request.source),
      " · ",
      literal(request.author || "unknown author"),
      " · received ",
      age(request.received_at),
      request.link ? [" · ", outsideLink(request.link)] : [],
    ),
    element(
      "p.chips",
      riskChip(card.risk),
      card.escalated && chip("escalated", "warn"),
      isOpen(card) && element("span.chip", deadline(card.expires_at), `, ${absolute(card.expires_at)}`),
    ),
  );
}

/** The bar of decisions. `choose(verdict)` is called with approve, edit, respond or reject. */
function actionBar(card, choose) {
  if (!isOpen(card)) return null;
  const hasDraft = draftOf(card).text !== "";
  const button = (verdict, label, key, kind = "", disabled = false) =>
    element(
      "button" + kind,
      { type: "button", "data-verdict": verdict, "aria-keyshortcuts": key, disabled, onclick: () => choose(verdict) },
      label,
      element("kbd", { "aria-hidden": "true" }, key),
    );
  return element(
    "div.actions",
    { role: "group", "aria-label": "Decision" },
    button("approve", "Approve", "a", hasDraft ? ".primary" : "", !hasDraft),
    button("edit", hasDraft ? "Edit" : "Write reply", "e", hasDraft ? "" : ".primary"),
    button("respond", "Send back", "s"),
    button("reject", "Reject", "r", ".danger"),
  );
}

/** The whole card as one element. */
export function cardNode(card, choose) {
  return element(
    "article.card",
    { "aria-labelledby": "card-title", "data-id": card.approval_id },
    header(card),
    banner(card),
    unsentSection(card),
    element(
      "div.columns",
      element("div", requestSection(card), draftSection(card), actionsSection(card), sendSection(card)),
      element("div", reviewSection(card), evidenceSection(card), costSection(card), historySection(card)),
    ),
    actionBar(card, choose),
  );
}
