// Services: their splits now and over time, and who gets what.

import { get, post } from "../api.js";
import { lineChart, splitBar } from "../charts.js";
import { h, replace } from "../dom.js";
import { badge, badgeFailure, link, listView, table } from "../parts.js";
import { number, t } from "../text.js";

export function servicesView({ query }) {
  return listView({
    query,
    title: () => t("services"),
    path: "/services",
    topics: ["services", "documents", "rollouts"],
    columns: () => [[t("name")], [t("split"), "wide"], [t("state")], [t("rollout")], [t("instances"), "number"]],
    row: (service) => [
      link("service", service.name, service.namespace),
      service.splits.length ? service.splits.map((split) => splitOf(split, service.splits.length > 1)) : h("span", { class: "quiet" }, t("noSplit")),
      service.state && badge(service.state),
      service.rollout && rolloutLink(service),
      service.instances === null ? h("span", { class: "quiet" }, t("notWatched")) : number(service.instances),
    ],
  });
}

function rolloutLink({ name, namespace, rollout }) {
  const search = namespace ? `?namespace=${encodeURIComponent(namespace)}` : "";
  return h("a", { href: `#/rollout/${encodeURIComponent(name)}${search}` }, badge(rollout));
}

function splitOf(split, named) {
  return h("div", {}, named && h("span", { class: "quiet" }, split.rule), splitBar(split.weights));
}

export function serviceView({ name, query }) {
  const namespace = query.namespace ?? "";
  const explain = explainBox(name, namespace);
  const view = { topics: ["services", "documents", "proxies", "rollouts"], loaded: false, load };

  async function load() {
    const service = await get(`/services/${encodeURIComponent(name)}`, { namespace });
    view.loaded = true;
    return [
      h("h1", {}, service.name, " ", service.state && badge(service.state)),
      h("div", { class: "grid" },
        h("section", { class: "card" }, h("h2", {}, t("split")),
          service.splits.length
            ? service.splits.map((split) => splitOf(split, true))
            : h("p", { class: "quiet" }, service.document ? t("noSplit") : t("noRules")),
          service.instances === null && h("p", { class: "quiet" }, t("notWatchedWhy")),
          h("dl", {},
            service.rollout && [h("dt", {}, t("rollout")), h("dd", {}, rolloutLink(service))],
            h("dt", {}, t("document")), h("dd", {}, service.document ? link("document", service.document, namespace) : t("none")),
            h("dt", {}, t("hosts")), h("dd", {}, service.hosts.join(", ") || t("none")),
            h("dt", {}, t("proxies")), h("dd", {}, `${number(service.proxies.programmed)} ${t("of")} ${number(service.proxies.of)}`),
            service.proxies.behind.length > 0 && [h("dt", {}, t("behind")), h("dd", {}, service.proxies.behind.map((proxy) => [link("proxy", proxy), " "]))])),
        h("section", { class: "card" }, h("h2", {}, t("trend")), trend(service))),
      h("section", { class: "card" }, h("h2", {}, t("subsets")),
        table([[t("subset")], [t("labels")], [t("instances"), "number"]], service.subsets.map((subset) => [
          [subset.name, " ", subset.baseline && h("span", { class: "badge" }, t("baseline"))],
          Object.entries(subset.labels).map(([key, value]) => `${key}=${value}`).join(", "),
          number(subset.instances),
        ]))),
      explain,
    ];
  }

  return view;
}

function trend(service) {
  const rules = new Set(service.trend.flatMap((change) => change.splits.map((split) => split.rule)));
  const now = new Date();
  const series = [...rules].flatMap((rule) => {
    const subsets = new Set(service.trend.flatMap((change) => change.splits.filter((split) => split.rule === rule).flatMap((split) => Object.keys(split.weights))));
    return [...subsets].reverse().map((subset) => {
      const points = service.trend.map((change) => {
        const split = change.splits.find((each) => each.rule === rule);
        return [new Date(change.at), split ? (split.weights[subset] ?? 0) : null];
      });
      points.push([now > points.at(-1)[0] ? now : points.at(-1)[0], points.at(-1)[1]]);
      return { name: rules.size > 1 ? `${rule} · ${subset}` : subset, points, steps: true };
    });
  });
  return lineChart(series, { unit: " %", label: t("trend"), low: 0, high: 100 }) ?? h("p", { class: "quiet" }, t("none"));
}

/** Where a request goes that is typed in, and why. It keeps what was typed while the page is brought up to date. */
function explainBox(name, namespace) {
  const answer = h("div", { role: "status" });
  const method = h("input", { id: "explain-method", value: "GET", size: 6 });
  const uri = h("input", { id: "explain-uri", value: "/" });
  const source = h("input", { id: "explain-source", placeholder: "203.0.113.7", size: 16 });
  const headers = h("textarea", { id: "explain-headers", class: "short", spellcheck: "false" });

  async function asked(event) {
    event.preventDefault();
    const lines = headers.value.split("\n").filter((line) => line.includes(":"));
    const request = {
      service: name, namespace, method: method.value, uri: uri.value, sourceIp: source.value || null,
      headers: Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).trim().toLowerCase(), line.slice(line.indexOf(":") + 1).trim()])),
    };
    try {
      replace(answer, explained(name, await post("/explain", request)));
    } catch (error) {
      replace(answer, badgeFailure(error));
    }
  }

  return h("section", { class: "card" }, h("h2", {}, t("explain")), h("p", { class: "quiet" }, t("explainHelp")),
    h("form", { id: "explain", onsubmit: asked },
      h("div", { class: "request" },
        h("label", {}, t("method"), method), h("label", {}, t("uri"), uri), h("label", {}, t("sourceIp"), source)),
      h("label", {}, t("headers"), headers),
      h("div", { class: "buttons" }, h("button", { class: "main" }, t("ask")))),
    answer);
}

function explained(service, result) {
  // The largest share last: it has the colour of the baseline, as in splits.
  const chances = [...result.chances].sort((one, other) => one.percent - other.percent);
  const shares = chances.map(({ to, percent }) => [to.startsWith(`${service}|`) ? to.slice(service.length + 1) : to, percent]);
  return [
    h("h3", {}, `${t("goes")}: `, shares.length === 0 ? result.action : shares.length === 1 && shares[0][0]),
    shares.length > 1 && splitBar(Object.fromEntries(shares)),
    h("p", {}, `${t("rule")}: `, h("b", {}, result.rule ?? t("noRule"))),
    h("ol", { class: "steps" }, result.considered.map((each) =>
      h("li", { class: each.matched ? "now" : null }, `${each.rule}: ${t(each.matched ? "matched" : "notMatched")}. ${each.why}`))),
    result.notes.length > 0 && h("ul", { class: "plain" }, result.notes.map((note) => h("li", {}, note))),
  ];
}
