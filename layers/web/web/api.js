// The HTTP API as this page uses it.
import { signOut, token } from "./session.js";

const TIMEOUT_MS = 20_000;

/** An answer that is not 2xx, or no answer at all (`status` 0). `body` is the JSON that came, or {}. */
export class ApiError extends Error {
  constructor(status, body = {}) {
    super(body.error?.message ?? body.message ?? "");
    this.status = status;
    this.body = body;
  }
}

async function call(path, body) {
  const request = {
    headers: { authorization: `Bearer ${token()}`, accept: "application/json" },
    cache: "no-store",
    credentials: "omit",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  };
  if (body !== undefined) {
    request.method = "POST";
    request.body = JSON.stringify(body);
    request.headers["content-type"] = "application/json";
  }
  let response, answer;
  try {
    response = await fetch(path, request);
    answer = await response.json().catch(() => ({}));
  } catch {
    throw new ApiError(0);
  }
  if (response.status === 401) signOut("That token is not accepted any more. Please sign in again.");
  if (!response.ok) throw new ApiError(response.status, answer ?? {});
  return answer;
}

const segment = encodeURIComponent;

export const approvals = async (status) => (await call(`/approvals?status=${segment(status)}`)).approvals ?? [];
export const approval = (id) => call(`/approvals/${segment(id)}`);
export const decide = (id, decision) => call(`/approvals/${segment(id)}/decision`, decision);
export const failures = () => call("/failures?limit=100");
/** `which` is {ids} of at most 100, or {all: true} with the cursor of the page before. */
export const redrive = (which) => call("/failures/redrive", which);
export const destinations = () => call("/destinations?limit=100");
export const turnOn = (id) => call(`/destinations/${segment(id)}/on`, {});
export const limits = () => call("/limits");
export const theCase = (id) => call(`/cases/${segment(id)}`);
export const cases = async (status) => (await call(`/cases?status=${segment(status)}&limit=100`)).cases ?? [];
