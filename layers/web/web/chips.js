// Risk, verdicts and scores in the words and tones the whole page uses.
import { chip } from "./dom.js";

const RISK_TONES = { low: "good", medium: "warn", high: "bad" };
const DECIDED_WORDS = {
  approve: ["approved", "good"],
  edit: ["edited", "good"],
  respond: ["sent back", "warn"],
  reject: ["rejected", "bad"],
};

export const riskChip = (risk) => chip(`${risk} risk`, RISK_TONES[risk] ?? null);

export function verdictChip(verdict) {
  const [words, tone] = DECIDED_WORDS[verdict] ?? ["expired", "warn"];
  return chip(words, tone);
}

/** A score between 0 and 1 as people read it. */
export const percent = (score) => `${Math.round(score * 100)} %`;
