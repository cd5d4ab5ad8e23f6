// Documents: what is wrong with them, line by line, who runs them and who does not; editing where it is allowed.

import { ApiError, get, post } from "../api.js";
import { h, replace } from "../dom.js";
import { announce, ask, badge, badgeFailure, link, listView } from "../parts.js";
import { dateTime, number, t } from "../text.js";

export const DOCUMENT_STATES = ["Programmed", "Programming", "Waiting", "Rejected", "Quarantined"];

export function documentsView({ query }) {
  return listView({
    query,
    title: () => t("documents"),
    path: "/documents",
    topics: ["documents", "proxies"],
    filters: DOCUMENT_STATES,
    columns: () => [[t("name")], [t("kind")], [t("state")], [t("problem"), "wide"], [t("revision")]],
    row: (document) => [
      link("document", document.name, document.namespace), document.kind, badge(document.state),
      problemOf(document),
      h("code", {}, document.revision ?? ""),
    ],
  });
}

export function documentView({ name, query }) {
  const namespace = query.namespace ?? "";
  const editing = { text: null, revision: null };
  const view = { topics: ["documents", "proxies"], loaded: false, load };

  async function load() {
    if (editing.text !== null) return null; // what is being typed stays
    const path = `/documents/${encodeURIComponent(name)}`;
    const [document, overview] = await Promise.all([get(path, { namespace }), get("/overview")]);
    view.loaded = true;
    const card = h("section", { class: "card" });
    showText(card, document, overview.canPublish && overview.role === "operator");
    return [
      h("h1", {}, document.name, " ", badge(document.state)),
      h("section", { class: "card" }, h("dl", {},
        h("dt", {}, t("kind")), h("dd", {}, document.kind),
        h("dt", {}, t("revision")), h("dd", {}, h("code", {}, document.revision), ` · ${dateTime(document.at)}`),
        h("dt", {}, t("inForce")), h("dd", {}, h("code", {}, document.inForce ?? t("nothingInForce"))),
        h("dt", {}, t("proxies")), h("dd", {}, `${number(document.proxies.programmed)} ${t("of")} ${number(document.proxies.of)}`),
        document.proxies.behind.length > 0 && [h("dt", {}, t("behind")), h("dd", {}, document.proxies.behind.map((proxy) => [link("proxy", proxy), " "]))])),
      document.rejections.length > 0 && h("section", { class: "card" }, h("h2", {}, t("rejections")),
        h("ul", { class: "plain" }, document.rejections.map((rejection) =>
          h("li", {}, link("proxy", rejection.proxy), `: ${rejection.reason} `, h("span", { class: "quiet" }, rejection.resources.join(", ")))))),
      (document.problems.length > 0 || document.rejections.length === 0)
        && h("section", { class: "card" }, h("h2", {}, t("problems")), problems(document.problems)),
      card,
    ];
  }

  function showText(card, document, mayEdit) {
    replace(card, h("h2", {}, t("text")), document.text === null ? h("p", { class: "quiet" }, t("none")) : source(document.text, [...document.problems, ...asProblems(document.rejections)]),
      mayEdit && document.text !== null && h("div", { class: "buttons" }, h("button", { type: "button", "data-key": "edit", onclick: () => edit(card, document) }, t("edit"))));
  }

  function edit(card, document) {
    editing.text = document.text;
    editing.revision = document.revision;
    const area = h("textarea", { id: "text", "aria-label": t("text"), spellcheck: "false", value: document.text, oninput: () => { editing.text = area.value; } });
    const answer = h("div", { role: "status" });
    const body = () => ({ name, namespace, text: area.value });
    const attempt = (work) => async () => {
      try {
        replace(answer, await work());
      } catch (error) {
        replace(answer, badgeFailure(error), error instanceof ApiError && error.body.problems && problems(error.body.problems));
      }
    };
    replace(card, h("h2", {}, t("edit")), area,
      h("div", { class: "buttons" },
        h("button", { type: "button", onclick: attempt(async () => {
          const checked = await post("/lint", body());
          return checked.problems.length ? problems(checked.problems) : h("p", {}, t("noErrors"));
        }) }, t("check")),
        h("button", { type: "button", onclick: attempt(async () => {
          const { changes } = await post("/diff", body());
          return changes.length ? h("ul", { class: "plain" }, changes.map((change) => h("li", {}, change))) : h("p", {}, t("changesNothing"));
        }) }, t("compare")),
        h("button", { type: "button", class: "main", onclick: attempt(() => publish(area.value)) }, t("publish")),
        h("button", { type: "button", onclick: () => leave(card, document) }, t("cancel"))),
      answer);
    area.focus();
  }

  function leave(card, document) {
    editing.text = null;
    showText(card, document, true);
  }

  async function publish(text) {
    const reason = await ask({ title: `${t("publish")}: ${name}`, label: t("reason"), action: t("publish"), required: false });
    if (reason === null) return null;
    const path = `/documents/${encodeURIComponent(name)}?namespace=${encodeURIComponent(namespace)}`;
    const { revision } = await post(path, { text, revision: editing.revision, reason }, "PUT");
    editing.text = null;
    const said = t("published", { revision });
    announce(said);
    return h("p", {}, said);
  }

  return view;
}

/** The first problem of a document, and how many more there are. */
function problemOf({ problem, errors, warnings }) {
  const more = errors + warnings - 1;
  return problem && [problem, more > 0 && h("span", { class: "quiet" }, ` ${t("andMore", { n: more })}`)];
}

function problems(found) {
  if (found.length === 0) return h("p", { class: "quiet" }, t("noProblems"));
  return h("ul", { class: "plain" }, found.map((problem) =>
    h("li", {}, h("span", { class: `badge ${problem.severity === "error" ? "bad" : "wait"}` }, problem.line ? `${problem.line}:${problem.column}` : problem.severity),
      ` ${problem.field ? `${problem.field}: ` : ""}${problem.problem}`, problem.hint && h("span", { class: "quiet" }, ` (${problem.hint})`))));
}

/** What proxies say of lines, as problems of these. */
function asProblems(rejections) {
  return rejections.filter(({ line }) => line > 0).map(({ line, proxy, reason }) => ({ severity: "error", line, column: 1, problem: `${proxy}: ${reason}` }));
}

/** A text with its line numbers; lines with problems are marked and say what is wrong. */
function source(text, found) {
  const byLine = group(found);
  return h("pre", { class: "source", tabindex: "0", "aria-label": t("text") }, text.replace(/\n$/, "").split("\n").map((line, index) => {
    const here = byLine.get(index + 1) ?? [];
    const kind = here.some((problem) => problem.severity === "error") ? " wrong" : here.length ? " doubtful" : "";
    return [
      h("span", { class: `row${kind}` }, h("span", { class: "number", "aria-hidden": "true" }, String(index + 1)), line),
      here.map((problem) => h("span", { class: "says" }, `${" ".repeat(Math.max(problem.column - 1, 0))}↑ ${problem.problem}${problem.hint ? ` (${problem.hint})` : ""}`)),
    ];
  }));
}

function group(found) {
  const lines = new Map();
  for (const problem of found) lines.set(problem.line, [...(lines.get(problem.line) ?? []), problem]);
  return lines;
}
