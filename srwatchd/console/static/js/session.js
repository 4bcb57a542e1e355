// Who looks, and what they may do.

import { get, send } from "./api.js";

export const session = { user: null, role: null, loginNeeded: false };

export async function refresh() {
  take(await get("/session"));
}

function take(answer) {
  session.user = answer.user;
  session.role = answer.role;
  session.loginNeeded = answer.login_needed;
}

export async function enter(name, password) {
  take(await send("POST", "/session", { name, password }));
  if (session.user === null) await refresh();
  dispatchEvent(new Event("srwatchd:session"));
}

export async function leave() {
  await send("DELETE", "/session");
  await refresh();
  dispatchEvent(new Event("srwatchd:session"));
}

/** Whether somebody has logged in; where no login is needed everybody is `local`. */
export const loggedIn = () => session.user !== null && session.user !== "local";

export const operator = () => session.role === "operator";
