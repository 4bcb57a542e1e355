// Every request to the console's own server, and what is made of its refusals.

const ROOT = "/api/v1";

/** The server said no, or nothing. `code` is one of the stable codes, or `unreachable`. */
export class Refusal extends Error {
  constructor(status, { code, message, hint }, retryAfter = null) {
    super(message);
    Object.assign(this, { status, code, hint, retryAfter });
  }
}

const listeners = new Set();

/** Called when the server wants a login. */
export function onLoginNeeded(listener) {
  listeners.add(listener);
}

export function refusalOf(status, text, retryAfter = null) {
  let error = null;
  try {
    error = JSON.parse(text).error;
  } catch {
    // Not from our server: a proxy's page, or a broken connection.
  }
  const known = error && typeof error.code === "string";
  const refusal = known
    ? new Refusal(status, error, retryAfter)
    : new Refusal(status, { code: status ? `http_${status}` : "unreachable", message: "", hint: "" }, retryAfter);
  if (status === 401) for (const listener of listeners) listener(refusal);
  return refusal;
}

async function answer(path, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  if (options.method && options.method !== "GET") headers["X-Srwatchd"] = "1";
  let response;
  try {
    response = await fetch(path.startsWith("/api") ? path : ROOT + path, { credentials: "same-origin", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw refusalOf(0, "");
  }
  if (response.ok || response.status === 304) return response;
  throw refusalOf(response.status, await response.text().catch(() => ""), Number(response.headers.get("Retry-After")) || null);
}

/** GET, as JSON. */
export async function get(path, options = {}) {
  return (await answer(path, options)).json();
}

/** GET, as the response itself. */
export function fetched(path, options = {}) {
  return answer(path, options);
}

/** POST or DELETE; the answer as JSON, null where there is none. */
export async function send(method, path, body = null, options = {}) {
  const json = body !== null && !(body instanceof Blob);
  const response = await answer(path, {
    method,
    body: json ? JSON.stringify(body) : body,
    headers: { "Content-Type": json || body === null ? "application/json" : "application/octet-stream" },
    ...options,
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** A path of the API with every part escaped; a name's slashes stay. */
export function place(...parts) {
  return parts.map((part) => "/" + well(part).split("/").map(encodeURIComponent).join("/")).join("");
}

function well(text) {
  const value = String(text);
  return value.toWellFormed ? value.toWellFormed() : value;
}

export function query(values) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) if (value !== null && value !== undefined && value !== "") search.set(name, value);
  const text = search.toString();
  return text ? `?${text}` : "";
}

export const api = (...parts) => ROOT + place(...parts);
