// Proxies: in step or behind, and why.

import { get } from "../api.js";
import { h } from "../dom.js";
import { badge, link, listView, table } from "../parts.js";
import { dateTime, number, t } from "../text.js";

export const PROXY_STATES = ["in step", "behind", "rejected", "unknown"];

export function proxiesView({ query }) {
  return listView({
    query,
    title: () => t("proxies"),
    path: "/proxies",
    topics: ["proxies"],
    filters: PROXY_STATES,
    columns: () => [[t("name")], [t("group")], [t("role")], [t("state")], [t("address")], [t("version")], [t("streams"), "number"], [t("since")]],
    row: (proxy) => [
      link("proxy", proxy.id), proxy.group, proxy.role, badge(proxy.state), proxy.address, proxy.version,
      number(proxy.streams), dateTime(proxy.connectedAt),
    ],
  });
}

export function proxyView({ name }) {
  const view = { topics: ["proxies", "documents"], loaded: false, load };

  async function load() {
    const proxy = await get(`/proxies/${encodeURIComponent(name)}`);
    view.loaded = true;
    return [
      h("h1", {}, proxy.id, " ", badge(proxy.state)),
      h("section", { class: "card" }, h("dl", {},
        h("dt", {}, t("group")), h("dd", {}, proxy.group),
        h("dt", {}, t("role")), h("dd", {}, proxy.role),
        h("dt", {}, t("address")), h("dd", {}, proxy.address),
        h("dt", {}, t("version")), h("dd", {}, proxy.version),
        h("dt", {}, t("connected")), h("dd", {}, dateTime(proxy.connectedAt)),
        proxy.behindSince && [h("dt", {}, t("behind")), h("dd", {}, t("behindFor", { since: dateTime(proxy.behindSince) }))])),
      h("section", { class: "card" }, h("h2", {}, t("lacks")),
        proxy.lacks.length === 0 ? h("p", { class: "quiet" }, t("runsAll"))
          : h("ul", { class: "plain" }, proxy.lacks.map((each) => h("li", {}, link("document", each.document, each.namespace), " ", badge(each.state))))),
      proxy.runs.length > 0 && h("section", { class: "card" }, h("h2", {}, t("runs")),
        table([[t("document")], [t("revision")]], proxy.runs.map((each) => [
          link("document", each.document, each.namespace), h("code", {}, each.revision)]))),
      proxy.rejections.length > 0 && h("section", { class: "card" }, h("h2", {}, t("rejections")),
        h("ul", { class: "plain" }, proxy.rejections.map((rejection) =>
          h("li", {}, h("span", { class: "error" }, rejection.reason), " ", h("span", { class: "quiet" }, rejection.resources.join(", ")))))),
      h("section", { class: "card" }, h("h2", {}, t("streams")),
        table([[t("method")], [t("state")], [t("since")]], proxy.connections.map((stream) => [
          stream.method, badge(stream.inStep ? "in step" : "behind"), dateTime(stream.openedAt)]))),
    ];
  }

  return view;
}
