// Parts that several views are made of.

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { stateText, t } from "./text.js";

const GOOD = ["Programmed", "in step", "Promoted", "Passed"];
const BAD = ["Rejected", "Quarantined", "rejected", "unknown", "RolledBack", "Failed"];

/** A state in its colour and in words. */
export function badge(state) {
  const kind = GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "wait";
  return h("span", { class: `badge ${kind}` }, stateText(state));
}

/** A link to a page about something; `namespace` is left out when it is the default one. */
export function link(page, name, namespace = "") {
  const path = name.split("/").map(encodeURIComponent).join("/");
  return h("a", { href: `#/${page}/${path}${namespace ? `?namespace=${encodeURIComponent(namespace)}` : ""}` },
    namespace ? `${namespace}/${name}` : name);
}

/** What went wrong with a request. */
export function badgeFailure(error) {
  return h("p", { class: "error", role: "alert" }, t("failed", { why: error.message }));
}

/** Say something to those who listen to the page. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

/** A table that becomes a card for each row on a phone. `columns` is a list of [title, class]. */
export function table(columns, rows) {
  if (rows.length === 0) return h("p", { class: "quiet" }, t("none"));
  return h("div", { class: "scroll" }, h("table", { class: "cards" },
    h("thead", {}, h("tr", {}, columns.map(([title, kind]) => h("th", { class: kind, scope: "col" }, title)))),
    h("tbody", {}, rows.map((cells) => h("tr", {}, cells.map((cell, index) =>
      h("td", { class: columns[index][1], "data-title": columns[index][0] }, cell)))))));
}

/**
 * A view of a list: searched and narrowed by the server, a page at a time. `filters` are the states to choose
 * from, `row(item)` makes the cells.
 */
export function listView({ title, path, topics, columns, row, filters = [], query = {} }) {
  const chosen = { search: query.search ?? "", state: query.state ?? "" };
  let pages = 1;
  const results = h("div", { "aria-live": "off" });
  const view = { topics, loaded: false, load };
  let frame = null;

  async function load() {
    const items = [];
    let after = null;
    let total = 0;
    for (let page = 0; page < pages; page += 1) {
      const found = await get(path, { ...chosen, after, limit: 100 });
      items.push(...found.items);
      total = found.total;
      after = found.next;
      if (after === null) break;
    }
    replace(results, table(columns(), items.map(row)),
      after !== null && h("div", { class: "buttons" },
        h("button", { type: "button", "data-key": "more", onclick: more }, t("more", { n: Math.min(100, total - items.length) }))),
      h("p", { class: "quiet" }, `${items.length} ${t("of")} ${total}`));
    view.loaded = true;
    if (frame) return null;
    frame = [h("h1", {}, title()), form(), h("section", { class: "card" }, results)];
    return frame;
  }

  function more() {
    pages += 1;
    load().catch((error) => replace(results, badgeFailure(error)));
  }

  function form() {
    let waiting = null;
    const changed = () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => {
        pages = 1;
        load().catch((error) => replace(results, badgeFailure(error)));
      }, 200);
    };
    return h("form", { class: "line", role: "search", onsubmit: (event) => event.preventDefault() },
      h("label", { class: "grow" }, t("search"), h("input", {
        type: "search", id: "search", value: chosen.search,
        oninput: (event) => { chosen.search = event.target.value; changed(); },
      })),
      filters.length > 0 && h("label", {}, t("state"), h("select", {
        id: "state", onchange: (event) => { chosen.state = event.target.value; changed(); },
      }, h("option", { value: "" }, t("all")), filters.map((state) =>
        h("option", { value: state, selected: state === chosen.state }, stateText(state))))));
  }

  return view;
}

/** Ask for one line of text; null if it was cancelled. `required` false takes an empty one, too. */
export function ask({ title, label, action, type = "text", danger = false, required = true }) {
  const dialog = document.getElementById("dialog");
  return new Promise((resolve) => {
    const input = h("input", { type, id: "answer", autocomplete: "off", required, maxlength: 1000 });
    replace(dialog, h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); done(input.value); } },
      h("h2", { id: "dialog-title" }, title),
      h("label", {}, label, input),
      h("div", { class: "buttons" },
        h("button", { class: danger ? "danger" : "main" }, action),
        h("button", { type: "button", onclick: () => done(null) }, t("cancel")))));
    dialog.oncancel = () => done(null);
    dialog.showModal();
    input.focus();
    function done(value) {
      dialog.oncancel = null;
      dialog.close();
      resolve(value);
    }
  });
}
