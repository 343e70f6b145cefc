// The approvals inbox: what is open, what the list shows, and how both stay current.
import * as api from "./api.js";
import { cardNode, isOpen } from "./card.js";
import { tick } from "./clock.js";
import { ask, dismiss } from "./decide.js";
import { leaveDesk, moveInDesk, showDesk } from "./desk.js";
import { byId, element } from "./dom.js";
import { openPassage } from "./draft.js";
import { sentence } from "./errors.js";
import { listenToKeys } from "./keys.js";
import * as list from "./list.js";
import { Poll } from "./poll.js";
import * as session from "./session.js";
import { forgetAll, hasUnsent, unsent } from "./typed.js";

const sources = new Map();
let view = "pending";
let openId = null;
let card = null;
let known = null;

const VIEWS = ["pending", "decided", "desk"];

function route() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const named = fragment.get("view");
  return { view: VIEWS.includes(named) ? named : "pending", id: fragment.get("approval") };
}

/** One sentence above the card. `button` is {label, act} or null. */
function notice(text, tone = "warn", button = null) {
  const node = element(`p.notice.notice-${tone}`, text);
  if (button) node.append(" ", element("button", { type: "button", onclick: button.act }, button.label));
  byId("notices").replaceChildren(node);
  return node;
}

const clearNotice = () => byId("notices").replaceChildren();

// The list

async function learnSources(approvals) {
  const unknown = approvals.some(({ case_id: id }) => !sources.has(id));
  if (!unknown) return;
  // The source is a convenience of the list: without it the list still stands.
  const found = await api.cases("awaiting_approval").catch(() => []);
  for (const { case_id: id, source } of found) sources.set(id, source);
  for (const { case_id: id } of approvals) if (!sources.has(id)) sources.set(id, null);
}

function showCount(count) {
  byId("pending-count").textContent = String(count);
  document.title = `${count ? `(${count}) ` : ""}Approvals · Countersign`;
}

/** Fetch what the list shows; true where it changed since last time. */
async function refresh() {
  const shown = view;
  const pending = await api.approvals("pending");
  if (shown === "desk" && view === "desk") {
    // The desk is not asked for again and again; how much waits for approval is.
    showCount(pending.length);
    const text = JSON.stringify(pending);
    if (text === known) return false;
    known = text;
    return true;
  }
  const approvals =
    shown === "pending" ? pending : [...(await api.approvals("decided")), ...(await api.approvals("expired"))];
  if (shown === "pending") {
    await learnSources(approvals);
    approvals.sort((a, b) => a.expires_at.localeCompare(b.expires_at));
  } else {
    approvals.sort((a, b) => (b.decided_at ?? b.expires_at).localeCompare(a.decided_at ?? a.expires_at));
  }
  if (shown !== view) return true;
  const text = JSON.stringify([pending, approvals]);
  if (text === known) return false;
  const before = known === null ? null : new Set(JSON.parse(known)[0].map((row) => row.approval_id));
  known = text;
  showCount(pending.length);
  list.showRows(approvals, view, sources);
  list.select(openId);
  byId("rows-empty").textContent = view === "pending" ? "Nothing waits for you." : "Nothing was decided yet.";
  const fresh = before ? pending.filter((row) => !before.has(row.approval_id)).length : 0;
  if (fresh) byId("announce").textContent = `${fresh} new approval${fresh === 1 ? "" : "s"}`;
  watchOpenCard(pending);
  return true;
}

/** Say so where the open card was decided, escalated or redrafted elsewhere; what is being typed stays untouched. */
function watchOpenCard(pending) {
  if (!card || !isOpen(card) || byId("notices").hasChildNodes()) return;
  const row = pending.find(({ approval_id: id }) => id === card.approval_id);
  if (row && row.expires_at === card.expires_at) return;
  const words = row ? "This approval has changed since you opened it." : "This approval is no longer pending.";
  notice(words, "warn", { label: "Show it as it is now", act: () => show(card.approval_id) });
}

function describe(error) {
  if (error === null) return "Up to date";
  if (error.status === 0) return "No connection, trying again";
  return error.status ? `Not up to date: the service had a problem (${error.status})` : "Not up to date";
}

const poll = new Poll(refresh, (error) => {
  byId("fresh").textContent = describe(error);
  byId("fresh").classList.toggle("offline", error !== null);
  if (error !== null && known === null) byId("rows-empty").textContent = "The list could not be loaded yet.";
});

// The card

function empty(text) {
  byId("card").replaceChildren(element("p.empty.empty-card", text));
}

/** Load and show one card. `keepNotice` leaves the sentence above it standing. */
async function show(id, keepNotice = false) {
  openId = id;
  list.select(id);
  if (!keepNotice) clearNotice();
  byId("inbox").classList.add("has-card");
  byId("card").setAttribute("aria-busy", "true");
  try {
    const loaded = await api.approval(id);
    if (openId !== id) return;
    card = loaded;
    byId("card").replaceChildren(cardNode(card, choose));
    if (!keepNotice) {
      byId("card-title").focus({ preventScroll: true });
      offerTyped();
    }
    byId("main").scrollTop = 0;
  } catch (error) {
    if (!(error instanceof api.ApiError)) throw error;
    if (openId !== id || error.status === 401) return;
    if (!keepNotice) {
      card = null;
      byId("card").replaceChildren();
    }
    notice(sentence(error), "bad", { label: "Try again", act: () => show(id) });
  } finally {
    byId("card").removeAttribute("aria-busy");
  }
}

/** Text typed for this card before (a closed dialog, an ended sign-in) is one press away. */
function offerTyped() {
  const [entry] = isOpen(card) ? unsent(card.approval_id) : [];
  if (entry) notice("What you typed here is kept.", "warn", { label: "Continue", act: () => choose(entry.verdict) });
}

function close() {
  const last = openId;
  openId = card = null;
  list.select(null);
  clearNotice();
  byId("inbox").classList.remove("has-card");
  empty("Choose an approval to see what was asked, what would be sent, and what it rests on.");
  if (last) (list.link(last) ?? list.neighbour(0))?.focus();
}

function choose(verdict) {
  const button = document.querySelector(`[data-verdict="${verdict}"]`);
  if (!card || !button || button.disabled) return;
  ask(card, verdict, (words, tone) => settled(card.approval_id, words, tone));
}

/** After a decision, ours or another's: say how it went, show the card as it is now, offer the next one. */
async function settled(id, words, tone) {
  const next = list.neighbour(1, id);
  const nextId = next && next !== list.link(id) ? next.getAttribute("href") : null;
  const button = tone === "good" && nextId ? { label: "Next approval", act: () => (location.hash = nextId) } : null;
  const node = notice(words, tone, button);
  poll.soon();
  await show(id, true);
  (node.querySelector("button") ?? byId("card-title"))?.focus();
}

// Where we are

function follow() {
  const wanted = route();
  dismiss();
  const atDesk = wanted.view === "desk";
  byId("inbox").classList.toggle("at-desk", atDesk);
  byId("card").hidden = !(byId("desk").hidden = !atDesk);
  if (view === "desk" && !atDesk) leaveDesk();
  if (wanted.view !== view || known === null) {
    view = wanted.view;
    known = null;
    list.showRows([], view, sources);
    byId("rows-empty").textContent = "Loading…";
    poll.soon();
  }
  for (const name of VIEWS) {
    if (name === view) byId(`tab-${name}`).setAttribute("aria-current", "page");
    else byId(`tab-${name}`).removeAttribute("aria-current");
  }
  if (atDesk) {
    close();
    showDesk();
  } else if (wanted.id) show(wanted.id);
  else close();
}

function enter() {
  const signedIn = session.token() !== null;
  byId("sign-in").hidden = signedIn;
  byId("inbox").hidden = byId("tools").hidden = byId("skip").hidden = !signedIn;
  if (signedIn) {
    poll.start();
    follow();
  } else {
    byId("sign-in-token").focus();
  }
}

session.onSignedOut((reason) => {
  poll.stop();
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  // Nobody's text stays on the screen of someone who is not signed in.
  known = card = openId = null;
  byId("card").replaceChildren();
  leaveDesk();
  clearNotice();
  list.showRows([], view, sources);
  byId("sign-in-reason").textContent = reason && hasUnsent() ? `${reason} What you typed is kept.` : reason;
  byId("sign-in-reason").hidden = !reason;
  enter();
});

byId("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const value = byId("sign-in-token").value.trim();
  if (!value) return;
  byId("sign-in-token").value = "";
  byId("sign-in-reason").hidden = true;
  session.signIn(value);
  enter();
});
byId("sign-out").addEventListener("click", () => {
  if (hasUnsent() && !confirm("Sign out and discard what you typed?")) return;
  forgetAll();
  session.signOut("");
});
byId("refresh").addEventListener("click", () => {
  poll.soon();
  if (view === "desk") showDesk();
  else if (openId) show(openId);
});
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

window.addEventListener("hashchange", () => {
  session.takeTokenFromAddress();
  if (session.token() === null) enter();
  else follow();
});
window.addEventListener("beforeunload", (event) => {
  if (hasUnsent()) event.preventDefault();
});
setInterval(tick, 20_000);
listenToKeys({
  move(step) {
    if (view === "desk") return moveInDesk(step);
    const link = list.neighbour(step, openId);
    if (!link) return;
    // On a narrow screen the list is hidden behind the card: then moving means opening.
    if (link.offsetParent === null) link.click();
    else link.focus();
  },
  choose,
  source: openPassage,
  back() {
    if (openId) location.hash = `view=${view}`;
  },
});

session.takeTokenFromAddress();
enter();
