// What went wrong, in one sentence a person can act on.
import { absolute } from "./clock.js";

const PAST = { approve: "approved", edit: "edited and approved", respond: "sent back", reject: "rejected" };

/** One sentence for a call of the desk that failed with an `ApiError`. */
export function deskSentence(error) {
  if (error.status === 403) return `The desk is for operators. ${capital(error.message || "You are not one")}.`;
  if (error.status === 404) return "There is no such thing any more. Please refresh.";
  return sentence(error);
}

const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1).replace(/\.$/, "");

/** One sentence for a call that failed with an `ApiError`. */
export function sentence(error) {
  const { status, body, message } = error;
  if (status === 409 && body.decided_by) {
    const how = PAST[body.verdict] ?? "decided";
    const when = body.decided_at ? ` on ${absolute(body.decided_at)}` : "";
    return `Already ${how} by ${body.decided_by}${when}; your decision was not taken.`;
  }
  if (status === 409)
    return "This card changed after it was shown to you, so nothing was decided. Please look at it again.";
  if (status === 410) return "The deadline has passed, so nothing was decided and nothing is sent.";
  if (status === 401) return "You are signed out. Please sign in again.";
  if (status === 403) return `You are not allowed to decide this${message ? `: ${message}` : ""}.`.replace("..", ".");
  if (status === 404) return message ? `${capital(message)}.` : "This approval does not exist.";
  if (status === 413) return "That is too long to be taken. Please shorten it.";
  if (status === 422) return `That was not accepted: ${message || "something is missing"}.`.replace("..", ".");
  if (status === 429) return "Too many requests just now. Please try again in a moment.";
  if (status === 0) return "No answer from the service. Check your connection and try again.";
  return `The service had a problem (${status}). Please try again.`;
}
