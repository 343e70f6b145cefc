// Who is signed in. The token lives in this tab alone; sign-in with OIDC would end by calling `signIn` too.

const KEY = "countersign.token";
let signedOut = () => {};

export const token = () => sessionStorage.getItem(KEY);

export function signIn(value) {
  sessionStorage.setItem(KEY, value);
}

/** Forget the token and ask for one, with the reason in one sentence or "" where there is none to tell. */
export function signOut(reason) {
  sessionStorage.removeItem(KEY);
  signedOut(reason);
}

export function onSignedOut(callback) {
  signedOut = callback;
}

/** Move a token out of the address (`#token=…`), so that it is neither bookmarked, shared nor kept in history. */
export function takeTokenFromAddress() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const value = fragment.get("token");
  if (value === null) return;
  fragment.delete("token");
  const rest = fragment.toString();
  history.replaceState(null, "", location.pathname + location.search + (rest ? "#" + rest : ""));
  if (value.trim()) signIn(value.trim());
}
