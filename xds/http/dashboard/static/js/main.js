// The frame of the page: which view is shown, what follows the server, language, theme and token.

import { ApiError, follow, get, hasToken, logOut, setToken } from "./api.js";
import { h, replace } from "./dom.js";
import { ask, badgeFailure } from "./parts.js";
import { switchLanguage, t } from "./text.js";
import { documentView, documentsView } from "./views/documents.js";
import { overviewView } from "./views/overview.js";
import { proxiesView, proxyView } from "./views/proxies.js";
import { rolloutView, rolloutsView } from "./views/rollouts.js";
import { serviceView, servicesView } from "./views/services.js";

const THEME = "grayplane-theme";
const PAGES = ["services", "documents", "proxies", "rollouts"];
const VIEWS = {
  "": overviewView,
  services: servicesView, service: serviceView,
  documents: documentsView, document: documentView,
  proxies: proxiesView, proxy: proxyView,
  rollouts: rolloutsView, rollout: rolloutView,
};

const main = document.getElementById("view");
let shown = null;
let refreshing = false;
let again = false;
let connected = null;

/** The page that the address names: `#/service/reviews?namespace=prod`. */
function address() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page, name: decodeURIComponent(rest.join("/")), query: Object.fromEntries(new URLSearchParams(search)) };
}

async function show() {
  const { page, name, query } = address();
  frame(page);
  const make = VIEWS[page];
  if (!make) {
    shown = null;
    replace(main, h("p", {}, t("notFound")));
    return;
  }
  const view = make({ name, query });
  shown = view;
  replace(main, h("p", { class: "quiet" }, t("loading")));
  await refresh(view);
  document.title = `${main.querySelector("h1")?.firstChild?.textContent ?? "Grayplane"} · Grayplane`;
  main.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Fetch anew what a view shows; one at a time, and once more if asked meanwhile. */
async function refresh(view = shown) {
  if (!view) return;
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = true;
  try {
    const content = await view.load();
    if (view === shown && content) replace(main, content);
  } catch (error) {
    if (view === shown) await failed(error);
  } finally {
    refreshing = false;
  }
  if (again || view !== shown) {
    again = false;
    await refresh();
  }
}

async function failed(error) {
  if (error instanceof ApiError && error.status === 401) await signIn(error.body.login);
  else replace(main, badgeFailure(error));
}

/** Offer what the server takes: a login at its provider, if it has one, or a token. */
async function signIn(login) {
  if (login) {
    const to = `${login}?to=${encodeURIComponent(location.hash || "#/")}`;
    replace(main, h("h1", {}, t("signIn")), h("p", {}, t("loginAsk")), h("div", { class: "buttons" },
      h("a", { class: "button main", href: to }, t("signIn")),
      h("button", { type: "button", class: "plain", onclick: () => signIn().then(() => refresh()) }, t("useToken"))));
    return;
  }
  const token = await ask({ title: t("tokenAsk"), label: t("token"), action: t("signIn"), type: "password" });
  if (token === null) {
    replace(main, h("p", {}, t("tokenAsk")), h("button", { type: "button", onclick: () => refresh() }, t("signIn")));
    return;
  }
  setToken(token);
  again = true;
  who();
}

/** Say in the header who is signed in, with a button to sign out. */
async function who() {
  const found = await get("/caller").catch(() => null);
  const known = found !== null && (found.inSession || hasToken());
  replace(document.getElementById("who"), known && h("span", { class: "quiet" }, found.name),
    known && h("button", { type: "button", class: "plain", id: "sign-out", onclick: () => signOut(found) }, t("signOut")));
}

async function signOut(found) {
  setToken(null);
  const elsewhere = found.inSession ? await logOut() : null;
  if (elsewhere) location.assign(elsewhere);
  else location.reload();
}

function frame(current) {
  replace(document.getElementById("nav"), PAGES.map((page) => {
    const here = current === page || `${current}s` === page || (current === "proxy" && page === "proxies");
    return h("a", { href: `#/${page}`, "aria-current": here ? "page" : null }, t(page));
  }));
  document.getElementById("skip").textContent = t("skip");
  document.getElementById("language").textContent = t("language");
  document.getElementById("theme").textContent = t(theme() === "dark" ? "light" : "dark");
  connection(connected);
}

/** Say whether the page follows the server; null: nobody is signed in. */
function connection(on) {
  const live = document.getElementById("live");
  connected = on;
  live.hidden = on === null;
  live.classList.toggle("on", on === true);
  live.textContent = t(on ? "live" : "away");
}

function theme() {
  return localStorage.getItem(THEME) ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

function dress() {
  document.documentElement.dataset.theme = theme();
}

document.getElementById("theme").addEventListener("click", () => {
  localStorage.setItem(THEME, theme() === "dark" ? "light" : "dark");
  dress();
  frame(address().page);
});
document.getElementById("language").addEventListener("click", () => {
  switchLanguage();
  show();
  who();
});
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the page
  main.focus();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
addEventListener("hashchange", show);

dress();
show();
who();
follow(
  (topic) => shown?.topics.includes(topic) && refresh(),
  (on) => {
    connection(on);
    if (on && shown?.loaded) refresh();
  },
);
// Times that pass ("behind since") and what no event tells are brought up to date now and then.
setInterval(() => document.visibilityState === "visible" && refresh(), 30000);
