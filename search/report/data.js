"use strict";
/* The data of the page, how values are written, and small helpers for the DOM. */

const data = JSON.parse(document.getElementById("data").textContent);

const rows = data.rows.map((cells, index) => {
  const row = { index };
  data.columns.forEach((column, i) => { row[column.name] = cells[i]; });
  row.scheduler_text = row.scheduler_label || row.scheduler;
  return row;
});
data.groups.forEach((group, index) => {
  group.index = index;
  group.rows = rows.slice(group.first, group.first + group.count);
  group.rows.forEach((row) => { row.group = index; });
});

const rowAt = (index) => (index >= 0 ? rows[index] : null);
const isOk = (row) => row.status === "ok";
const known = (value) => value !== null && Number.isFinite(value);

/* ---- numbers, by the rules of report_format.c ---- */

const nudge = (value) => value * (1 + 1e-13);

function num3(value) {
  if (!known(value)) return "-";
  if (value === 0) return "0";
  const size = Math.abs(nudge(value));
  if (size < 0.0001) return nudge(value).toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3
    : size >= 0.01 ? 4 : size >= 0.001 ? 5 : 6;
  return nudge(value).toFixed(digits);
}

const usd = (value) => (known(value) ? nudge(value).toFixed(2) : "-");

function time(value) {
  if (!known(value)) return "-";
  return value < 1 ? num3(1e3 * value) + " ms" : num3(value) + " s";
}

function change(factor) {
  if (!known(factor)) return "-";
  const percent = 100 * (factor - 1);
  if (Math.abs(percent) < 0.05) return "0 %";
  return (percent > 0 ? "+" : "") + nudge(percent).toFixed(1) + " %";
}

const percent = (value) => (known(value) ? num3(value) + " %" : "-");
const grouped = (value) => (known(value) ? Math.round(value).toLocaleString("en-US") : "-");

/* ---- words ---- */

const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
const loads = (search) => `${plural(search.probes, "load")} (${grouped(search.simulated)} simulated)`;

function hardware(row) {
  return `${row.num_gpus} x ${row.device} (${row.network_device}): ` +
    `${plural(row.num_replicas, "replica")} of TP ${row.tensor_parallel_size} x PP ${row.num_pipeline_stages}`;
}

function configuration(row) {
  return `${row.num_replicas} x TP${row.tensor_parallel_size} PP${row.num_pipeline_stages} on ` +
    `${row.network_device}, ${row.scheduler_text}, batch ${row.batch_size}`;
}

function shortConfiguration(row) {
  return `TP${row.tensor_parallel_size} PP${row.num_pipeline_stages}, ${row.scheduler_text}, batch ${row.batch_size}`;
}

const statusWords = {
  ok: "ok", infeasible_memory: "too large for memory", slo_unreachable: "missing an SLO at any load",
  invalid: "invalid", failed: "failed",
};

const statusShort = {
  ok: "ok", infeasible_memory: "no memory", slo_unreachable: "SLO missed", invalid: "invalid", failed: "failed",
};

function counts(group) {
  const parts = Object.keys(statusWords).filter((status) => group.counts[status] > 0)
    .map((status) => `${grouped(group.counts[status])} ${statusWords[status]}`);
  return `${plural(group.count, "candidate")}: ${parts.join(", ")}`;
}

/* The words for an SLO's short name, as rows have it. */
function sloTitle(name) {
  const slo = data.slos.find((item) => item.name === name);
  return slo ? slo.title : name || "-";
}

/* An ok row's quantile, by the rule of vidur_number_latency. */
function latencyText(row, slo) {
  if (known(row[slo.column])) return time(row[slo.column]);
  return ["tbt", "tpot"].includes(slo.metric) && !known(row[`${slo.metric}_p50_s`]) ? "nothing to measure" : "not recorded";
}

const usdPerThousand = (row) => row.usd_per_hour / (3.6 * row.max_qps);
const costFactor = (best, row) => best.qps_per_dollar / row.qps_per_dollar;

/* Whole replicas for a load; as vidur_report_size. */
function sizeFor(row, qps) {
  if (!(row.max_qps > 0) || row.num_replicas < 1 || row.num_gpus < 1 || !(qps > 0)) return null;
  const replicas = Math.ceil(qps / (row.max_qps / row.num_replicas));
  if (!(replicas < 1e9)) return null;
  const gpus = replicas * Math.trunc(row.num_gpus / row.num_replicas);
  return { replicas, gpus, usd_per_hour: row.usd_per_hour / row.num_gpus * gpus };
}

const factsOf = (section) => data.facts.filter((fact) => fact[0] === section);

/* ---- DOM ---- */

const $ = (id) => document.getElementById(id);

/* el("p.note", {title: "x"}, "text", node, ...) */
function el(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  Object.entries(attributes || {}).forEach(([name, value]) => {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  });
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function fillSelect(select, options, chosen) {
  select.replaceChildren(...options.map(([value, text]) => el("option", { value }, text)));
  if (options.some(([value]) => value === chosen)) select.value = chosen;
}

/* columns: [{title, text(row), number, wrap, config}]; config wraps on narrow screens only */
function fillTable(table, caption, columns, list, emptyText) {
  const head = el("tr", null, ...columns.map((column) =>
    el(column.number ? "th.number" : "th", { scope: "col" }, column.title)));
  const body = list.map((row) => el("tr", null, ...columns.map((column) => {
    const content = column.text(row);
    return el(column.number ? "td.number" : column.wrap ? "td.wrap" : column.config ? "td.config" : "td", null, content);
  })));
  if (!list.length) body.push(el("tr", null, el("td.empty", { colspan: columns.length }, emptyText || "none")));
  table.replaceChildren(el("caption.visually-hidden", null, caption), el("thead", null, head),
    el("tbody", null, ...body));
}

const pairs = (list, entries) => list.replaceChildren(...entries
  .filter(([, value]) => value !== null && value !== undefined && value !== "")
  .map(([name, value]) => [el("dt", null, name), el("dd", null, value)]).flat());

const tiles = (list, entries) => list.replaceChildren(...entries.map(([name, value, unit]) =>
  el("div", null, el("dt", null, name), el("dd", null, value, unit ? el("small", null, " " + unit) : null))));
