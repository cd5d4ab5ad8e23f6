// Rollouts: their steps, their numbers, and the buttons of an operator.

import { get, post } from "../api.js";
import { lineChart } from "../charts.js";
import { h, replace } from "../dom.js";
import { announce, ask, badge, badgeFailure, link, listView, table } from "../parts.js";
import { dateTime, number, t } from "../text.js";

const KINDS = { abort: "danger", promote: "main", approve: "main" };

export function rolloutsView({ query }) {
  return listView({
    query,
    title: () => t("rollouts"),
    path: "/rollouts",
    topics: ["rollouts"],
    columns: rolloutColumns,
    row: (rollout) => rolloutRow(rollout, link("rollout", rollout.service, rollout.namespace)),
  });
}

export function rolloutColumns() {
  return [[t("service")], [t("phase")], [t("step"), "number"], [t("weight"), "number"], [t("verdict")], [t("why")], [t("since")]];
}

export function rolloutRow(rollout, name) {
  return [
    name, badge(rollout.phase), `${rollout.step} / ${rollout.of}`, `${number(rollout.weight)} %`,
    rollout.verdict && badge(rollout.verdict), rollout.why, dateTime(rollout.since),
  ];
}

export function rolloutView({ name, query }) {
  const namespace = query.namespace ?? "";
  const view = { topics: ["rollouts"], loaded: false, load };
  const answer = h("div", { role: "status" });

  async function load() {
    const path = `/rollouts/${encodeURIComponent(name)}`;
    const [rollout, overview] = await Promise.all([get(path, { namespace }), get("/overview")]);
    view.loaded = true;
    return [
      h("h1", {}, `${t("rollout")}: ${name} `, badge(rollout.phase)),
      h("div", { class: "grid" },
        h("section", { class: "card" },
          h("dl", {},
            h("dt", {}, t("service")), h("dd", {}, link("service", name, namespace)),
            h("dt", {}, t("weight")), h("dd", {}, `${number(rollout.weight)} %`),
            h("dt", {}, t("verdict")), h("dd", {}, rollout.verdict ? badge(rollout.verdict) : t("noVerdict")),
            h("dt", {}, t("why")), h("dd", {}, rollout.why),
            h("dt", {}, t("since")), h("dd", {}, dateTime(rollout.since))),
          overview.role === "operator" && overview.canRollOut && h("div", { class: "buttons" }, rollout.actions.map((action) =>
            h("button", { type: "button", "data-key": action, class: KINDS[action], onclick: () => act(action) }, t(action)))),
          answer),
        h("section", { class: "card" }, h("h2", {}, t("steps")), h("ol", { class: "steps" }, rollout.steps.map((step, index) =>
          h("li", { class: index + 1 === rollout.step ? "now" : index + 1 < rollout.step ? "done" : null, "aria-current": index + 1 === rollout.step ? "step" : null }, step))))),
      h("div", { class: "grid charts" },
        chart(t("weight"), [gray(rollout, "weight", { steps: true })], { unit: " %", low: 0, high: 100 }),
        chart(t("requests"), [gray(rollout, "grayRequests")], { low: 0, whole: true }),
        chart(t("success"), [gray(rollout, "graySuccess"), baseline(rollout, "baselineSuccess")], { unit: " %" }),
        chart(t("latency"), [gray(rollout, "grayP99"), baseline(rollout, "baselineP99")], { unit: " s", low: 0 })),
      rollout.history.length > 0 && h("section", { class: "card" }, h("h2", {}, t("history")), table(rolloutColumns(), rollout.history.map((each) => rolloutRow(each, each.service)))),
    ];
  }

  async function act(action) {
    const danger = KINDS[action] === "danger";
    const reason = await ask({ title: t(`${action}Ask`), label: t("reason"), action: t(action), danger, required: false });
    if (reason === null) return;
    try {
      await post(`/rollouts/${encodeURIComponent(name)}/${action}?namespace=${encodeURIComponent(namespace)}`, { reason });
      replace(answer);
      announce(t("updated"));
    } catch (error) {
      replace(answer, badgeFailure(error));
    }
  }

  return view;
}

// In the colours that the two have in splits.

function gray(rollout, field, options = {}) {
  return { name: t("gray"), colour: 1, points: points(rollout, field), ...options };
}

function baseline(rollout, field) {
  return { name: t("baseline"), colour: 0, points: points(rollout, field), dashed: true };
}

function points(rollout, field) {
  return rollout.samples.map((sample) => [new Date(sample.at), sample[field]]);
}

function chart(title, series, options) {
  const drawn = lineChart(series, { label: title, ...options });
  return drawn && h("section", { class: "card" }, h("h2", {}, title), drawn);
}
