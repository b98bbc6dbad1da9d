"use strict";
/* The data of the page, how values are written, and small helpers for the DOM. */

const data = JSON.parse(document.getElementById("data").textContent);

const rows = data.rows.map((cells, index) => {
  const row = { index };
  data.columns.forEach((column, i) => { row[column.name] = cells[i]; });
  /* As vidur_format_scheduler and vidur_number_tp of report_format.c. */
  const precision = row.precision || "bf16", cache = row.kv_cache_dtype || "bf16";
  row.scheduler_text = (row.scheduler_label || row.scheduler) +
    (precision === "bf16" && cache === "bf16" ? "" : `, ${precision}`) + (cache === "bf16" ? "" : `, KV cache ${cache}`) +
    (!row.router || row.router === "round_robin" ? "" : `, router=${row.router}`);
  /* As vidur_row_second of report_pools.c. */
  if (row.pools) {
    const kind = row.second_replicas > 0 ? "second" : "decode";
    row.second = { of_first: kind === "second" ? row.first_replicas : row.prefill_replicas, replicas: row[`${kind}_replicas`],
      tensor_parallel_size: row[`${kind}_tensor_parallel_size`], expert_parallel: row[`${kind}_expert_parallel`],
      network_device: row[`${kind}_network_device`], batch_size: row[`${kind}_batch_size`] };
  }
  row.nodes_text = row.network_device +
    (row.pools && row.second.network_device !== row.network_device ? `+${row.second.network_device}` : "");
  row.tp_text = `${row.tensor_parallel_size}${row.expert_parallel ? " EP" : ""}` +
    (row.data_parallel_size > 1 ? ` DP ${row.data_parallel_size}` : "") +
    (row.pools ? `+${row.second.tensor_parallel_size}${row.second.expert_parallel ? " EP" : ""}` : "");
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
  if (size < 0.0001 || size >= 1e15) return nudge(value).toExponential(2).replace(/e([+-])(\d)$/, "e$10$2");
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : size >= 0.1 ? 3
    : size >= 0.01 ? 4 : size >= 0.001 ? 5 : 6;
  return nudge(value).toFixed(digits);
}

function usd(value) {
  if (!known(value)) return "-";
  return Math.abs(value) < 1e15 ? nudge(value).toFixed(2) : nudge(value).toExponential(2);
}

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
const percentOf = (share) => percent(known(share) ? 100 * share : null);
const grouped = (value) => (known(value) ? Math.round(value).toLocaleString("en-US") : "-");

/* Rows whose cluster was made for a load: their largest one was not searched. */
const hasTarget = (row) => known(row.target_qps);
const isBurst = (row) => isOk(row) && row.reason.startsWith(data.meta.burst);
const qpsPerDollar = (row) => (hasTarget(row) ? row.target_qps / row.usd_per_hour : row.qps_per_dollar);
const hasPrice = (row) => known(row.usd_per_hour);
const qpsPerGpu = (row) => (hasTarget(row) ? row.target_qps : row.max_qps) / row.num_gpus;
data.groups.forEach((group) => { group.priced = !group.rows.some(isOk) || group.rows.some((row) => isOk(row) && hasPrice(row)); });
/* What charts show: what a dollar buys or, where nothing in a group has a price, a GPU. */
rows.forEach((row) => {
  row.qps_per_gpu = isOk(row) ? qpsPerGpu(row) : null;
  row.value = !data.groups[row.group].priced ? row.qps_per_gpu : hasPrice(row) ? qpsPerDollar(row) : null;
});
const valueTitle = (group) => (data.groups[group].priced ? "QPS per dollar" : "QPS per GPU");

/* What a row serves at most, with its marks; as vidur_number_qps. */
function qpsText(row) {
  const range = known(row.max_qps_low) && known(row.max_qps_high)
    ? ` (${num3(row.max_qps_low)} to ${num3(row.max_qps_high)})` : "";
  return (row.unbounded ? "\u2265 " : "") + num3(row.max_qps) + range + (isBurst(row) ? "*" : "");
}

/* How sure the number is; as vidur_format_confidence. */
function confidence(row) {
  const parts = [];
  if (known(row.max_qps_low))
    parts.push(`${num3(row.max_qps_low)} QPS, at which the SLOs hold in all ${plural(row.replications, "replication")}`);
  if (row.unbounded) parts.push("no load that was tried failed, so the maximum may be higher");
  return parts.join("; ");
}

/* What the marks in a ranking mean, for those that are in it. */
function marks(list) {
  return [
    [list.some(isBurst), `* ${data.meta.burst}: these QPS are too high; raise num_requests`],
    [list.some((row) => row.unbounded),
      "\u2265: at least; no load that was tried failed, so the maximum may be higher"],
    [list.some((row) => known(row.max_qps_low) && known(row.max_qps_high)),
      "(a to b): the least and the largest of the replications; the SLOs hold in all of them at the least"],
  ].filter(([there]) => there).map(([, text]) => text);
}

/* ---- words ---- */

const plural = (count, noun) => `${grouped(count)} ${noun}${count === 1 ? "" : "s"}`;
const loads = (search) => `${plural(search.probes, "load")} (${grouped(search.simulated)} simulated)`;

function hardware(row) {
  if (row.pools) return `${row.num_gpus} GPUs: ${row.pools}`;
  return `${row.num_gpus} x ${row.device} (${row.network_device}): ` +
    `${plural(row.num_replicas, "replica")} of TP ${row.tp_text} x PP ${row.num_pipeline_stages}`;
}

function configuration(row) {
  if (row.pools) return `${row.pools}, ${row.scheduler_text}, batch ${row.batch_size} and ${row.second.batch_size}`;
  return `${row.num_replicas} x TP${row.tp_text} PP${row.num_pipeline_stages} on ` +
    `${row.network_device}, ${row.scheduler_text}, batch ${row.batch_size}`;
}

function shortConfiguration(row) {
  return `TP${row.tp_text} PP${row.num_pipeline_stages}, ${row.scheduler_text}, batch ${row.batch_size}`;
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
  const [, plain, missed] = /^(.*?)( \(.*\))?$/.exec(name || ""); /* of a joint SLO: what is missed */
  const slo = data.slos.find((item) => item.name === plain);
  return slo ? slo.title + (missed || "") : name || "-";
}

/* A joint SLO's value is a share of its limits. */
const sloValue = (value, slo) => (slo.limits ? percentOf(value) : time(value));
const sloLimit = (slo) => slo.limits || time(slo.limit_s);

/* An ok row's quantile, by the rule of vidur_number_latency. */
function latencyText(row, slo) {
  if (known(row[slo.column])) return sloValue(row[slo.column], slo);
  return ["tbt", "tpot"].includes(slo.metric) && !known(row[`${slo.metric}_p50_s`]) ? "nothing to measure" : "not recorded";
}

const usdPerThousand = (row) => (hasPrice(row)
  ? row.usd_per_hour / (3.6 * (hasTarget(row) ? row.target_qps : row.max_qps)) : NaN);
/* As vidur_cost_factor. */
const costFactor = (best, row) => (!hasPrice(best) && !hasPrice(row) ? qpsPerGpu(best) / qpsPerGpu(row)
  : hasPrice(best) && hasPrice(row) ? best.value / row.value : NaN);

/* ---- what to rent for a load, by the rules of report_sizing.h, operation by operation ---- */

const HOURS_PER_MONTH = 730, MAX_REPLICAS = 1e9, MAX_GPUS = 2 ** 53;
const noSizing = { row: null, usd_per_hour: NaN, capacity_qps: NaN };

data.families.forEach((family) => {
  if (family.usd_per_gpu_hour === null) family.usd_per_gpu_hour = NaN; /* no price */
  family.sizes = family.sizes.map(([replicas, qps, row]) => ({ replicas, qps, row: rows[row] }));
});

/* As the options of vidur-report were given, but for the load itself. */
const loadOf = (target) => ({
  target_qps: target, headroom: data.meta.headroom, whole_nodes: data.meta.whole_nodes === 1,
});
const loadQps = (load) => load.target_qps * (1 + load.headroom);
const replicasFor = (qps, at) => Math.max(Math.ceil(qps * at.replicas / at.qps * (1 - 1e-12)), 1);
const rateOf = (size) => size.qps / size.replicas;

function scaleBelow(family, i) {
  const above = family.sizes[i];
  return i > 0 && rateOf(family.sizes[i - 1]) <= rateOf(above) ? family.sizes[i - 1] : above;
}

function priceOf(family, load, replicas, from) {
  const gpus = replicas * family.gpus_per_replica, per_node = family.devices_per_node;
  const nodes = per_node > 0 ? Math.ceil(gpus / per_node) : 0;
  const billed_gpus = load.whole_nodes ? nodes * per_node : gpus;
  if (!(replicas <= MAX_REPLICAS) || !(gpus < MAX_GPUS) || !(billed_gpus < MAX_GPUS)) return noSizing;
  return {
    row: from.row, replicas, gpus, nodes, billed_gpus, usd_per_hour: family.usd_per_gpu_hour * billed_gpus,
    capacity_qps: from.qps * replicas / from.replicas, simulated: replicas === from.replicas,
  };
}

function familySizing(family, load) {
  const qps = loadQps(load);
  let last = null;
  for (let i = 0; i < family.sizes.length; i++) {
    const size = family.sizes[i], from = scaleBelow(family, i);
    const replicas = Math.max(replicasFor(qps, from), last ? last.replicas + 1 : 1);
    if (replicas < size.replicas) return priceOf(family, load, replicas, from);
    if (size.qps >= qps) return priceOf(family, load, size.replicas, size);
    last = size;
  }
  return priceOf(family, load, Math.max(replicasFor(qps, last), last.replicas + 1), last);
}

const microUsd = (value) => Math.floor(value * 1e6 + 0.5);

function compareSizings(a, b) {
  if (!a.row || !b.row) return !a.row - !b.row;
  const x = microUsd(a.usd_per_hour), y = microUsd(b.usd_per_hour);
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  if (x < y || x > y) return x < y ? -1 : 1;
  if (a.gpus !== b.gpus) return a.gpus < b.gpus ? -1 : 1;
  if (a.capacity_qps !== b.capacity_qps) return a.capacity_qps > b.capacity_qps ? -1 : 1;
  if (a.row.margin > b.row.margin || a.row.margin < b.row.margin) return a.row.margin > b.row.margin ? -1 : 1;
  return (a.row.candidate_id > b.row.candidate_id) - (a.row.candidate_id < b.row.candidate_id);
}

/* The best choice of a group, and of one node SKU where one is named. */
function chooseFor(group, node, target) {
  let best = noSizing;
  if (!(target > 0)) return best;
  const load = loadOf(target);
  data.families.filter((family) => family.group === group && (!node || family.node === node)).forEach((family) => {
    const sizing = familySizing(family, load);
    if (compareSizings(sizing, best) < 0) best = sizing;
  });
  return best;
}

const counted = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;
const rentText = (row, replicas) => row.pools
  ? `${replicas} x (${row.pools}), ${row.scheduler_text}, batch ${row.batch_size} and ${row.second.batch_size}`
  : `${counted(replicas, "replica")} of TP${row.tp_text} ` +
  `PP${row.num_pipeline_stages} on ${row.network_device}, ${row.scheduler_text}, batch ${row.batch_size}`;
const knownBy = (sizing) => (sizing.simulated ? "simulated"
  : `scaled from ${counted(sizing.row.num_replicas, "replica")}, not simulated`);

function priceText(sizing) {
  const whole = sizing.billed_gpus > sizing.gpus
    ? ` on ${counted(sizing.nodes, "node")}, paid whole (${counted(sizing.billed_gpus, "GPU")})` : "";
  if (!known(sizing.usd_per_hour)) return `${counted(sizing.gpus, "GPU")}${whole}, no price`;
  return `${counted(sizing.gpus, "GPU")}${whole}, $${usd(sizing.usd_per_hour)} an hour, ` +
    `$${usd(HOURS_PER_MONTH * sizing.usd_per_hour)} a month`;
}

function sizingText(sizing, load) {
  if (!sizing.row) return "nothing in these results can be rented for it";
  if (hasTarget(sizing.row))
    return `rent ${rentText(sizing.row, sizing.replicas)}: ${priceText(sizing)}; serves at least ` +
      `${num3(sizing.capacity_qps)} QPS (${knownBy(sizing)})`;
  return `rent ${rentText(sizing.row, sizing.replicas)}: ${priceText(sizing)}; uses ` +
    `${percent(100 * load.target_qps / sizing.capacity_qps)} of ${num3(sizing.capacity_qps)} QPS (${knownBy(sizing)})`;
}

function targetText(row) {
  return `rent ${rentText(row, row.num_replicas)}: ` +
    `${priceText({ gpus: row.num_gpus, billed_gpus: row.num_gpus, usd_per_hour: row.usd_per_hour })}; busy ` +
    `${percent(row.busy)} of the time, ${percentOf(row.margin)} within the worst SLO's limit (simulated)`;
}

/* "For 50.0 QPS: rent ..."; as print_load of report_parts.c. */
function loadText(group, node, target) {
  if (target > 0) {
    const load = loadOf(target);
    const headroom = load.headroom > 0
      ? ` (sized for ${num3(loadQps(load))}: ${percent(100 * load.headroom)} headroom)` : "";
    return `For ${num3(target)} QPS${headroom}: ${sizingText(chooseFor(group.index, node, target), load)}`;
  }
  const best = rowAt(group.best);
  return best && hasTarget(best) ? `For ${num3(best.target_qps)} QPS: ${targetText(best)}` : "";
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

/* columns: [{title, text(row), number, wrap, config}]; config wraps on narrow screens */
function fillTable(table, caption, columns, list, emptyText) {
  const head = el("tr", null, ...columns.map((column) =>
    el(column.number ? "th.number" : "th", { scope: "col" }, column.title)));
  const body = list.map((row) => el("tr", null, ...columns.map((column) => {
    const content = column.text(row);
    return el(column.number ? "td.number" : column.wrap ? "td.wrap" : column.config ? "td.config" : "td",
      { "data-title": column.title }, content);
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
