// The keyboard: single keys act on the list and the open card, never while someone types or a dialog is open.
import { byId } from "./dom.js";

const SETTING = "countersign.keys";
const VERDICTS = { a: "approve", e: "edit", s: "respond", r: "reject" };

const typing = (node) =>
  node.closest?.("input:not([type=checkbox]), textarea, select, [contenteditable]") !== null;

/** `actions` has move(step), choose(verdict), source(number) and back(). Keys alone can be switched off in the help. */
export function listenToKeys(actions) {
  const help = byId("help");
  const enabled = byId("keys-on");
  enabled.checked = localStorage.getItem(SETTING) !== "off";
  enabled.addEventListener("change", () => localStorage.setItem(SETTING, enabled.checked ? "on" : "off"));
  byId("help-open").addEventListener("click", () => help.showModal());

  document.addEventListener("keydown", (event) => {
    if (
      event.defaultPrevented ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      (event.repeat && event.key !== "j" && event.key !== "k")
    )
      return;
    if (typing(event.target) || document.querySelector("dialog[open]") || byId("inbox").hidden) return;
    if (event.key === "Escape") return actions.back();
    if (!enabled.checked) return;
    if (event.key === "?") help.showModal();
    else if (event.key === "j" || event.key === "k") actions.move(event.key === "j" ? 1 : -1);
    else if (VERDICTS[event.key]) actions.choose(VERDICTS[event.key]);
    else if (/^[1-9]$/.test(event.key)) actions.source(event.key);
    else return;
    event.preventDefault();
  });
}
