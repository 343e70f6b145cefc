// The operators' desk: what failed and runs again, which destinations are off, and what limits the cases.
// It is loaded when it is opened and when somebody asks: each look at dead letters hides them from others for a moment.
import * as api from "./api.js";
import { age, absolute } from "./clock.js";
import { byId, chip, element } from "./dom.js";
import { deskSentence } from "./errors.js";
import { literal, plural } from "./text.js";

const KINDS = {
  case: ["failed case", "bad"],
  intake: ["dead letter, intake", "warn"],
  delivery: ["dead letter, delivery", "warn"],
};
const DID = {
  started: "runs again",
  queued_again: "is on its queue again",
  put_away: "was put away: nobody waits for it any more",
};
const MOST = 100;

/** The ids of failures that are ticked, also over a reload of the list. */
const ticked = new Set();
let shown = 0;

const short = (id) => id.replace(/^(c-.{8}).*$|^(\w+:.{8}).*$/, "$1$2");

/** Load everything the desk shows. `keepReport` leaves what the last redrive did standing. */
export async function showDesk(keepReport = false) {
  const turn = ++shown;
  const desk = byId("desk");
  desk.setAttribute("aria-busy", "true");
  if (!desk.hasChildNodes()) desk.append(element("p.empty", "Loading…"));
  try {
    const failures = await api.failures();
    // The other two stand by themselves: where one cannot be had, the failures still are.
    const [off, limits] = await Promise.all([api.destinations().catch(() => null), api.limits().catch(() => null)]);
    if (turn !== shown) return;
    const report = (keepReport && byId("desk-report")) || element("div", { id: "desk-report", role: "status" });
    const sections = [failureSection(failures), off && destinationSection(off), limits && limitSection(limits)];
    desk.replaceChildren(heading(), report, ...sections.filter(Boolean));
    if (!keepReport) byId("desk-title").focus({ preventScroll: true });
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (turn !== shown || error.status === 401) return;
    desk.replaceChildren(heading(), element("p.notice.notice-warn", { role: "alert" }, deskSentence(error)));
  } finally {
    desk.removeAttribute("aria-busy");
  }
}

/** Forget what is shown, and that it was ticked. */
export function leaveDesk() {
  shown += 1;
  ticked.clear();
  byId("desk").replaceChildren();
}

/** Focus the tick box `step` places on. */
export function moveInDesk(step) {
  const boxes = [...byId("desk").querySelectorAll(".failure input:not(:disabled)")];
  const at = boxes.indexOf(document.activeElement);
  boxes[at < 0 ? 0 : Math.min(Math.max(at + step, 0), boxes.length - 1)]?.focus();
}

function heading() {
  const words = "What waits for an operator. A case that runs again pays for nothing twice, and keeps its decision.";
  return element(
    "div",
    element("h1", { id: "desk-title", tabindex: "-1" }, "Desk"),
    element("p.hint", words),
  );
}

function section(title, ...content) {
  return element("section", element("h2", title), content);
}

// Failures

function failureSection({ failures, cursor }) {
  for (const id of [...ticked]) if (!failures.some((failure) => failure.id === id)) ticked.delete(id);
  if (!failures.length) return section("Failures", element("p.empty", "Nothing has failed, and no letter is dead."));
  const able = failures.filter((failure) => failure.redrivable);
  const button = element("button.primary", { type: "button", onclick: () => redrive([...ticked]) });
  const every = element("input", { type: "checkbox", id: "every-failure", disabled: !able.length });
  const boxes = [];
  const update = () => {
    button.textContent = ticked.size ? `Redrive ${ticked.size}` : "Redrive";
    button.disabled = !ticked.size;
    every.checked = able.length > 0 && ticked.size === able.length;
    every.indeterminate = ticked.size > 0 && ticked.size < able.length;
  };
  const tick = (id, on) => {
    if (on) ticked.add(id);
    else ticked.delete(id);
    update();
  };
  every.addEventListener("change", () => {
    const on = every.checked; // which each tick changes
    for (const box of boxes) box.checked = on;
    for (const { id } of able) tick(id, on);
  });
  const rows = failures.map((failure) => {
    const box = element("input", { type: "checkbox", disabled: !failure.redrivable });
    box.checked = ticked.has(failure.id);
    box.addEventListener("change", () => tick(failure.id, box.checked));
    if (failure.redrivable) boxes.push(box);
    return element("li", failureRow(failure, box));
  });
  update();
  return section(
    `Failures (${failures.length}${cursor ? "+" : ""})`,
    element("div.desk-tools", element("label.check", every, "Select all"), button),
    element("ul.plain.failures", rows),
    cursor && more(),
  );
}

function failureRow(failure, box) {
  const { id, kind, case_id: caseId, state, reason, at, redrivable } = failure;
  const [words, tone] = KINDS[kind] ?? [kind, null];
  return element(
    "label.failure",
    { "data-id": id },
    box,
    element(
      "span.failure-what",
      element("span.failure-reason", literal(reason || "no reason is known"), state && [" in ", literal(state)]),
      element(
        "span.row-facts",
        chip(words, tone),
        element("span.failure-id", literal(caseId ? short(caseId) : "of an unknown case")),
        element("span.row-meta", age(at)),
        !redrivable && element("span.row-meta", "its text was erased, so it cannot run again"),
      ),
    ),
  );
}

function more() {
  const words = "Redrive everything, also what is not listed";
  return element(
    "p.hint",
    "These are the latest. ",
    element("button.link", { type: "button", onclick: () => redrive(null) }, words),
  );
}

/** Redrive the failures with these ids, or everything; then say of each what became of it. */
async function redrive(ids) {
  const report = byId("desk-report");
  for (const button of byId("desk").querySelectorAll("button")) button.disabled = true;
  report.replaceChildren(element("p.notice", "Redriving…"));
  const redriven = [];
  const refused = [];
  let failed = null;
  try {
    for await (const answer of ids ? some(ids) : everything()) {
      redriven.push(...answer.redriven);
      refused.push(...answer.refused);
    }
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    failed = error;
  }
  if (failed?.status === 401) return;
  ticked.clear();
  report.replaceChildren(...reportOf(redriven, refused, failed));
  await showDesk(true);
  report.scrollIntoView({ block: "nearest" });
  byId("desk-title").focus({ preventScroll: true });
}

async function* some(ids) {
  for (let start = 0; start < ids.length; start += MOST) {
    yield await api.redrive({ ids: ids.slice(start, start + MOST) });
  }
}

async function* everything() {
  let cursor = null;
  do {
    const answer = await api.redrive(cursor ? { all: true, cursor } : { all: true });
    yield answer;
    cursor = answer.cursor;
  } while (cursor);
}

function reportOf(redriven, refused, failed) {
  const block = (tone, title, lines) =>
    element(
      `div.notice.notice-${tone}`,
      element("p", title),
      element("ul.plain", lines.map((line) => element("li", literal(line)))),
    );
  const blocks = [];
  if (redriven.length) {
    const lines = redriven.map((each) => `${short(each.id)} ${DID[each.did] ?? "was redriven"}`);
    blocks.push(block("good", `${plural(redriven.length, "failure")} redriven`, lines));
  }
  if (refused.length) {
    const lines = refused.map((each) => `${short(each.id)} stays: ${each.reason}`);
    blocks.push(block("bad", `${plural(refused.length, "failure")} not redriven`, lines));
  }
  if (failed) blocks.push(element("p.notice.notice-bad", deskSentence(failed)));
  return blocks.length ? blocks : [element("p.notice", "There was nothing to redrive.")];
}

// Destinations that are off

function destinationSection({ destinations, cursor }) {
  if (!destinations.length) return section("Destinations", element("p.empty", "Every destination is on."));
  const words =
    "Their receiver answered that it is gone. Nothing is sent there until somebody turns it on; " +
    "cases that failed meanwhile wait above.";
  return section(
    `Switched-off destinations (${destinations.length}${cursor ? "+" : ""})`,
    element("p.hint", words),
    element("ul.plain.failures", destinations.map((each) => element("li.off", destinationRow(each)))),
  );
}

function destinationRow({ id, address, channel, history }) {
  const last = history.at(-1);
  const since = last && ["off since ", age(last.at), ", after ", literal(short(last.by))];
  return [
    element(
      "span.failure-what",
      element("span.failure-reason", literal(address)),
      element("span.row-facts", chip(channel.replaceAll("_", " ")), since && element("span.row-meta", since)),
    ),
    element(
      "button",
      { type: "button", "aria-label": `Turn on ${address}`, onclick: (event) => turnOn(id, address, event.target) },
      "Turn on",
    ),
  ];
}

async function turnOn(id, address, button) {
  button.disabled = true;
  let said;
  try {
    await api.turnOn(id);
    said = element("p.notice.notice-good", literal(address), " is on again.");
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (error.status === 401) return;
    said = element("p.notice.notice-bad", deskSentence(error));
  }
  byId("desk-report").replaceChildren(said);
  await showDesk(true);
  byId("desk-title").focus({ preventScroll: true });
}

// Limits

const dollars = (amount) => `$${Number(amount).toFixed(2)}`;

function limitSection(limits) {
  const { day, cap_usd: cap, used_usd: used, max_cases_at_once: slots, leases, parked } = limits;
  const waiting = parked.budget + parked.slot;
  const drafts = leases.map(({ case_id: id, expires_at: until }) =>
    element("li", literal(short(id)), " until ", absolute(until)),
  );
  return section(
    "Limits",
    element(
      "dl.facts",
      element(
        "div",
        element("dt", `Budget of ${day} (UTC)`),
        element("dd", `${dollars(used)} of ${dollars(cap)}`),
        element("dd", element("meter", { max: cap, value: used, "aria-label": "Budget used" })),
      ),
      element("div", element("dt", "Drafting now"), element("dd", `${leases.length} of ${slots} at most`)),
      element("div", element("dt", "Parked"), element("dd", waiting ? parkedWords(parked) : "No case waits.")),
    ),
    drafts.length > 0 && element("details", element("summary", "Which cases"), element("ul.plain.leases", drafts)),
  );
}

function parkedWords({ budget, slot, counted_all: all }) {
  const parts = [budget && `${plural(budget, "case")} for budget`, slot && `${plural(slot, "case")} for a slot`];
  const when = budget ? "; for budget they ask again every 15 minutes" : "";
  return `${all ? "" : "at least "}${parts.filter(Boolean).join(", ")}${when}`;
}
