// Everything at a glance.

import { get } from "../api.js";
import { h } from "../dom.js";
import { badge } from "../parts.js";
import { number, stateText, t } from "../text.js";

export function overviewView() {
  const view = { topics: ["services", "documents", "proxies", "rollouts", "sources"], loaded: false, load };

  async function load() {
    const [all, bad] = await Promise.all([get("/overview"), troubled()]);
    view.loaded = true;
    return [
      h("h1", {}, t("overview"), " ", h("small", {}, `${all.replica} · ${all.version}`)),
      h("div", { class: "tiles" },
        tile("services", all.services, {}),
        tile("documents", all.documents, { good: "Programmed" }),
        tile("proxies", all.proxies, { good: "in step" })),
      h("div", { class: "grid" },
        counts("documents", all.documents), counts("proxies", all.proxies),
        h("section", { class: "card" }, h("h2", {}, t("sources")),
          h("ul", { class: "plain" }, all.sources.map((source) =>
            h("li", {}, `${source.name}: `, source.trouble
              ? h("span", { class: "error" }, source.trouble)
              : h("span", { class: "badge good" }, t("well")),
            " ", h("span", { class: "quiet" }, t("servingFrom", { from: source.servingFrom }))))))),
      bad.length > 0 && h("section", { class: "card" }, h("h2", {}, t("problems")),
        h("ul", { class: "plain" }, bad.map((document) =>
          h("li", {}, h("a", { href: `#/document/${encodeURIComponent(document.name)}?namespace=${encodeURIComponent(document.namespace)}` },
            document.name), " ", badge(document.state))))),
    ];
  }

  return view;
}

async function troubled() {
  const found = await Promise.all(["Rejected", "Quarantined", "Waiting"].map((state) => get("/documents", { state, limit: 10 })));
  return found.flatMap((page) => page.items);
}

function tile(page, counts, { good }) {
  const fine = good ? (counts.byState[good] ?? 0) : null;
  return h("a", { class: "tile", href: `#/${page}` },
    h("b", {}, fine === null || fine === counts.total ? number(counts.total) : `${number(fine)} / ${number(counts.total)}`),
    h("span", {}, good ? `${t(page)} · ${stateText(good)}` : t(page)));
}

function counts(page, { byState }) {
  const states = Object.entries(byState);
  return h("section", { class: "card" }, h("h2", {}, t(page)),
    states.length === 0 ? h("p", { class: "quiet" }, t("none")) : h("ul", { class: "plain" }, states.map(([state, count]) =>
      h("li", {}, h("a", { href: `#/${page}?state=${encodeURIComponent(state)}` }, badge(state)), ` ${number(count)}`))));
}
