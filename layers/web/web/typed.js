// What was typed and not yet sent: it survives a closed dialog, a changed card and a new sign-in.
// In memory only, since it is customers' text.
const texts = new Map();
const keyOf = (approvalId, verdict) => `${approvalId} ${verdict}`;

/** The text typed for one decision, or undefined. */
export const typedFor = (approvalId, verdict) => texts.get(keyOf(approvalId, verdict))?.text;

export const keep = (approvalId, verdict, text) => texts.set(keyOf(approvalId, verdict), { approvalId, verdict, text });
export const forget = (approvalId, verdict) => texts.delete(keyOf(approvalId, verdict));
export const forgetAll = () => texts.clear();

/** Everything typed for one approval, as {approvalId, verdict, text}. */
export const unsent = (approvalId) => [...texts.values()].filter((entry) => entry.approvalId === approvalId);

/** Whether text was typed that no decision carried yet. */
export const hasUnsent = () => texts.size > 0;
