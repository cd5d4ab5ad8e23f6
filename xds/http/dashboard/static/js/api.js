// Talks to /api/v1 of the server that this page comes from.

const BASE = "/api/v1";
const TOKEN = "grayplane-token";

/** What the server answers when it does not do what was asked. `body` is the problem (RFC 9457). */
export class ApiError extends Error {
  constructor(status, body) {
    super(body.detail ?? body.title ?? `HTTP ${status}`);
    this.status = status;
    this.body = body;
  }
}

/** Keep a token until this tab is closed; null forgets it. */
export function setToken(token) {
  if (token === null) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/** Whether this tab has a token. */
export function hasToken() {
  return sessionStorage.getItem(TOKEN) !== null;
}

/** Ask for a path; `query` leaves out what is empty. */
export function get(path, query = {}) {
  const wanted = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const search = new URLSearchParams(wanted).toString();
  return send("GET", search ? `${path}?${search}` : path);
}

/** Send a JSON body. */
export function post(path, body, method = "POST") {
  return send(method, path, body);
}

/** End the session of this browser; answer where it logs out at the provider, or null. */
export async function logOut() {
  const answer = await fetch("/auth/logout", { method: "POST" });
  return answer.ok ? (await answer.json()).location : null;
}

async function send(method, path, body) {
  const headers = authorization();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const value = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new ApiError(answer.status, value ?? {});
  return value;
}

function authorization() {
  const token = sessionStorage.getItem(TOKEN);
  return token ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * Follow the server's events for ever: `changed(topic, names)` for each, `connected(true|false)` as the stream
 * comes and goes, `connected(null)` while nobody is signed in. EventSource cannot send a token, so the stream is read here.
 */
export async function follow(changed, connected) {
  for (;;) {
    let allowed = true;
    try {
      allowed = await read(changed, connected);
    } catch {
      // The server is away or is being restarted: try again.
    }
    connected(allowed ? false : null);
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
}

async function read(changed, connected) {
  const answer = await fetch(`${BASE}/events`, { headers: authorization() });
  if (!answer.ok) return answer.status !== 401;
  connected(true);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return true;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) tell(event, changed);
  }
}

function tell(event, changed) {
  const fields = Object.fromEntries(
    event.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
  if (fields.event) changed(fields.event, JSON.parse(fields.data).names);
}
