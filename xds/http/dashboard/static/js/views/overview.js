// Everything at a glance: what runs, what is being rolled out, and what is wrong.

import { get } from "../api.js";
import { h } from "../dom.js";
import { badge, link, table } from "../parts.js";
import { number, stateText, t } from "../text.js";
import { DOCUMENT_STATES } from "./documents.js";
import { PROXY_STATES } from "./proxies.js";
import { rolloutColumns, rolloutRow } from "./rollouts.js";

const STATES = { documents: DOCUMENT_STATES, proxies: PROXY_STATES };
const TROUBLED = ["Rejected", "Quarantined", "Waiting"];
const SHOWN = 10;
const OVER = ["Promoted", "RolledBack", "Disabled"];

export function overviewView() {
  const view = { topics: ["services", "documents", "proxies", "rollouts", "sources"], loaded: false, load };

  async function load() {
    const [all, rollouts, ...bad] = await Promise.all([
      get("/overview"), get("/rollouts", { limit: 500 }), ...TROUBLED.map((state) => get("/documents", { state, limit: SHOWN })),
    ]);
    const active = rollouts.items.filter((rollout) => !OVER.includes(rollout.phase));
    view.loaded = true;
    return [
      h("h1", {}, t("overview"), " ", h("small", {}, `${all.replica} · ${all.version}`)),
      h("div", { class: "tiles" },
        tile("services", number(all.services.total)),
        tile("documents", share(all.documents, "Programmed"), "Programmed"),
        tile("proxies", share(all.proxies, "in step"), "in step"),
        tile("rollouts", number(active.length), "active")),
      h("div", { class: "grid" }, counts("documents", all.documents), counts("proxies", all.proxies), sources(all.sources)),
      active.length > 0 && h("section", { class: "card" }, h("h2", {}, t("underWay")),
        table(rolloutColumns(), active.slice(0, SHOWN).map((each) => rolloutRow(each, link("rollout", each.service, each.namespace)))),
        active.length > SHOWN && h("p", {}, h("a", { href: "#/rollouts" }, t("andMore", { n: number(active.length - SHOWN) })))),
      problems(bad),
    ];
  }

  return view;
}

function problems(pages) {
  const rows = pages.flatMap((page) => page.items).map((document) => [
    link("document", document.name, document.namespace), badge(document.state), document.problem,
  ]);
  if (rows.length === 0) return null;
  const more = TROUBLED.map((state, index) => [state, pages[index].total - pages[index].items.length]).filter(([, count]) => count > 0);
  return h("section", { class: "card" }, h("h2", {}, t("problems")),
    table([[t("document")], [t("state")], [t("problem"), "wide"]], rows),
    more.length > 0 && h("p", {}, more.map(([state, count]) =>
      [h("a", { href: `#/documents?state=${state}` }, `${t("andMore", { n: number(count) })}: ${stateText(state)}`), " "])));
}

function sources(found) {
  return h("section", { class: "card" }, h("h2", {}, t("sources")),
    h("ul", { class: "bare" }, found.map((source) => h("li", {},
      h("b", {}, source.name), " ", source.trouble ? h("span", { class: "badge bad" }, t("trouble")) : h("span", { class: "badge good" }, t("well")),
      " ", h("span", { class: "quiet" }, t(`from ${source.servingFrom}`)),
      source.trouble && h("p", { class: "error" }, source.trouble)))));
}

function share({ total, byState }, good) {
  const fine = byState[good] ?? 0;
  return fine === total ? number(total) : `${number(fine)} / ${number(total)}`;
}

function tile(page, figure, state) {
  return h("a", { class: "tile", href: `#/${page}` }, h("b", {}, figure), h("span", {}, state ? `${t(page)} · ${stateText(state)}` : t(page)));
}

function counts(page, { byState }) {
  const known = STATES[page];
  const states = Object.entries(byState).sort(([one], [other]) => known.indexOf(one) - known.indexOf(other));
  return h("section", { class: "card" }, h("h2", {}, t(page)),
    states.length === 0 ? h("p", { class: "quiet" }, t("none")) : h("ul", { class: "bare" }, states.map(([state, count]) =>
      h("li", {}, h("a", { class: "count", href: `#/${page}?state=${encodeURIComponent(state)}` }, badge(state), h("span", {}, number(count)))))));
}
