"use strict";
/* The sections of the report, each drawn from the chosen model, workload and SKU. */

const state = {
  group: 0, sku: "", target: 0, load: 0, /* QPS, of the SKU section and of all */
  sort: { key: "rank", down: false }, shown: 500, limit: "",
};

const theGroup = () => data.groups[state.group];
const passesSku = (row) => !state.sku || row.network_device === state.sku;
const groupRows = () => theGroup().rows.filter(passesSku);
const bestRow = () => groupRows().find(isOk) || null;
const groupSkus = () => data.skus.filter((sku) => sku.group === state.group && (!state.sku || sku.node === state.sku));

/* ---- launch lines ---- */

function launchBlock(row) {
  const launch = data.launch[row.index];
  if (!launch) {
    return el("p.muted", null, "Launch lines are given for the top of each ranking, the Pareto fronts and the best of each SKU.");
  }
  const parts = launch.command.split(/ (?=--)/).flatMap((part, i) => [i ? " " : "", el("span", null, part)]);
  const text = el("pre", { tabindex: 0 }, ...parts); /* lines break between arguments only */
  const copy = el("button", { type: "button", onclick: () => copyText(text, copy) }, "Copy");
  return el("div.launch", null, text, copy,
    launch.notes ? el("ul", null, ...launch.notes.split("\n").map((note) => el("li", null, note))) : null);
}

function copyText(node, button) {
  const told = (text) => { button.textContent = text; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
  const select = () => { getSelection().selectAllChildren(node); told("Selected"); };
  if (navigator.clipboard) navigator.clipboard.writeText(node.textContent).then(() => told("Copied"), select);
  else select();
}

/* ---- 1. answer ---- */

/* What to rent, above everything: for the load in its field, which begins with what vidur-report
 * was asked for; of a search for a load, for that one. */
function rentHeadline(group) {
  const fixed = !state.load && rowAt(group.best), sizing = chooseFor(group.index, "", state.load);
  const row = fixed || sizing.row;
  if (!row) return "nothing here serves it";
  const gpus = fixed ? row.num_gpus : sizing.billed_gpus, price = fixed ? row.usd_per_hour : sizing.usd_per_hour;
  return (row.pools ? counted(gpus, "GPU") : `${gpus} x ${row.device}`) +
    (known(price) ? `, $${usd(price)} an hour` : ", no price");
}

function drawLoads() {
  const list = data.groups.map((group) => [group, loadText(group, "", state.load)])
    .filter(([group, text]) => text || group.added);
  $("rents").replaceChildren(...list.map(([group, text]) => el("li", null, el("h3", null, `${group.model}, ${group.trace}`),
    el("strong", null, rentHeadline(group)), el("span.muted", null, text),
    group.added ? el("p", null, group.added) : null)));
}

/* A load to begin with, where none was asked for. */
const FIRST_LOAD = 10;

function startLoads() {
  const asked = data.meta.target_qps, fixed = anyTarget && !(asked > 0);
  state.load = fixed ? 0 : asked > 0 ? asked : FIRST_LOAD;
  $("load").value = state.load;
  $("load-field").hidden = fixed;
  $("loads").hidden = !data.groups.some((group) => group.best >= 0);
  drawLoads();
}

const targetColumns = [
  { title: "Nodes", number: true, text: (row) => grouped(row.num_nodes) },
  { title: "$/hour", number: true, text: (row) => usd(row.usd_per_hour) },
  { title: "$/month", number: true, text: (row) => usd(row.usd_per_month) },
  { title: "Busy", number: true, text: (row) => percent(row.busy) },
  { title: "Margin", number: true, text: (row) => percentOf(row.margin) },
];
const capacityColumns = [
  { title: "Max QPS", number: true, text: qpsText },
  { title: "QPS/$", number: true, text: (row) => num3(row.qps_per_dollar) },
  { title: "$/1M tok", number: true, text: (row) => num3(row.usd_per_million_tokens) },
  { title: "$/1k req.", number: true, text: (row) => num3(usdPerThousand(row)) },
];
const anyTarget = rows.some(hasTarget);

function drawAnswers() {
  const columns = [
    { title: "Model", text: (group) => group.model },
    { title: "Workload", text: (group) => group.trace },
    { title: "Best configuration", config: true, text: (group) => {
      const best = rowAt(group.best);
      return el("button.link", { type: "button", onclick: () => choose(group.index) },
        best ? configuration(best) : "no candidate can serve it");
    } },
    { title: "GPUs", number: true, text: (group) => (rowAt(group.best) ? grouped(rowAt(group.best).num_gpus) : "-") },
    ...(anyTarget ? targetColumns : capacityColumns).map((column) => ({
      title: column.title, number: true, text: (group) => (group.best >= 0 ? column.text(rows[group.best]) : "-"),
    })),
    { title: "2nd choice", number: true,
      text: (group) => (group.second >= 0 ? change(costFactor(rows[group.best], rows[group.second])) : "-") },
  ];
  fillTable($("answers"), "Best configuration of each model and workload", columns, data.groups);
  [...$("answers").tBodies[0].rows].forEach((row, i) => row.classList.toggle("chosen", i === state.group));
}

function sloBars(row) {
  return el("div.slos", null, ...data.slos.filter((slo) => !slo.class || known(row[slo.column])).map((slo) => {
    const value = row[slo.column];
    const share = known(value) ? value / slo.limit_s : 0;
    return el("div", null,
      el("div.label", null, el("span", null, slo.title),
        el("span", null, `${latencyText(row, slo)} of ${sloLimit(slo)}`)),
      el("div.bar", null, el(share > 1 ? "div.over" : "div", { style: `width: ${Math.min(100, 100 * share)}%` })));
  }));
}

/* What the classes of the row's workload get, by the rule of vidur_format_class. */
function classTexts(row) {
  return Object.keys(row).filter((key) => key.endsWith("_requests") && known(row[key]) && `${key.slice(0, -9)}_tpot_p95_s` in row)
    .map((key) => {
      const name = key.slice(0, -9), goodput = row[`${name}_goodput_per_s`];
      return [`Class ${name}`, `${grouped(row[key])} requests, TTFT P95 ${time(row[`${name}_ttft_p95_s`])}, ` +
        `TPOT P95 ${time(row[`${name}_tpot_p95_s`])}${known(goodput) ? `, goodput ${num3(goodput)}/s` : ""}`];
    });
}

/* As is_same_choice of search/report/report_model.c: only a batch cap differs, and makes no difference. */
const choiceKeys = ["device", "network_device", "scheduler", "router", "memory_planner", "precision", "kv_cache_dtype",
  "tensor_parallel_size", "expert_parallel", "data_parallel_size", "num_pipeline_stages", "num_replicas", "pools", "chunk_size", "max_tokens_in_batch", "block_size", "max_waiting_iters",
  "watermark_blocks_fraction", "kv_offload_gib_per_gpu", "kv_offload_gb_per_s", "gpu_memory_utilization", "prefix_caching", "async_scheduling",
  "scheduling_policy"];
const isSameChoice = (best, row) => choiceKeys.every((key) => best[key] === row[key]) &&
  Math.abs(costFactor(best, row) - 1) < 0.0005;

/* What the best of an SKU costs and draws, and what the others would have to cost. */
function moneyOf(best) {
  const own = data.skus.find((sku) => sku.best === best.index);
  const others = groupSkus().filter((sku) => sku !== own && sku.money["No price"]);
  return [...(own ? Object.entries(own.money) : []), ...others.map((sku) => [sku.node, sku.money["No price"]])];
}

/* "+2.5 % a query" */
function queryChange(best, row) {
  const text = change(costFactor(best, row));
  return text === "0 %" ? "a query costs the same" : `${text} a query`;
}

function drawBest() {
  const group = theGroup(), best = bestRow();
  const title = el("h3", null, `${group.model}, ${group.trace}` + (state.sku ? `, ${state.sku} only` : ""));
  if (!best) {
    $("best").replaceChildren(title, el("p", null, `No candidate can serve this workload. ${counts(group)}.`),
      ...group.left_out.map((line) => el("p", null, line)), el("p", null, group.remedy ? `What may help: ${group.remedy}.` : ""));
    return;
  }
  const second = groupRows().filter(isOk).slice(1).find((row) => !isSameChoice(best, row));
  const list = el("dl.tiles");
  tiles(list, [...(hasTarget(best)
    ? [["Load asked for", num3(best.target_qps), "QPS"], ["Replicas", grouped(best.num_replicas)],
      ["Busy", percent(best.busy)], ["Margin", percentOf(best.margin)],
      ["Price", `$${usd(best.usd_per_month)}`, "per month"]]
    : [["Maximum load", qpsText(best), "QPS"], hasPrice(best) ? ["QPS per dollar", num3(best.qps_per_dollar)] : ["QPS per GPU", num3(best.qps_per_gpu)]]),
  ["Price", `$${usd(best.usd_per_hour)}`, "per hour"], ["Million tokens", `$${num3(best.usd_per_million_tokens)}`],
  ["1,000 requests", `$${num3(usdPerThousand(best))}`], ["GPUs", grouped(best.num_gpus)],
  ...(known(best.goodput_per_s) ? [["Goodput", num3(best.goodput_per_s), "per second"]] : [])]);
  const facts = el("dl.pairs");
  pairs(facts, [["Rent", hardware(best)], ["Run", `${best.scheduler_text}, batch size ${best.batch_size}`],
    ["Count on", confidence(best)], ...classTexts(best), ...moneyOf(best),
    ["Limited by", `${best.bottleneck}: ${best.bottleneck_detail}`], ["Mind", best.reason],
    ["Next best", second ? `${configuration(second)}: ${queryChange(best, second)}` : "none"],
    ["Candidates", counts(group)], ...group.left_out.map((line, i) => [i ? "" : "Left out", line])]);
  $("best").replaceChildren(title, list, facts,
    el("h3", null, `Latency at the ${hasTarget(best) ? "load asked for" : "maximum load"}, against the SLOs`),
    sloBars(best), el("h3", null, "Launch"), launchBlock(best));
}

/* ---- 2. ranking ---- */

const rankingColumns = [
  { key: "rank", title: "Rank", number: true, text: (row) => (row.rank || "-") },
  { key: "model", title: "Model", groups: true }, { key: "trace", title: "Workload", groups: true },
  { key: "network_device", title: "SKU", text: (row) => row.nodes_text },
  { key: "num_replicas", title: "Repl.", number: true, text: (row) => (row.pools ? `${row.second.of_first}+${row.second.replicas}` : grouped(row.num_replicas)) }, { key: "tensor_parallel_size", title: "TP", number: true, text: (row) => row.tp_text },
  { key: "num_pipeline_stages", title: "PP", number: true }, { key: "scheduler_text", title: "Scheduler" },
  { key: "batch_size", title: "Batch", number: true },
  { key: "max_qps", title: "Max QPS", number: true, down: true, text: qpsText, target: false },
  { key: "qps_per_dollar", title: "QPS/$", number: true, down: true, text: (row) => num3(row.qps_per_dollar), target: false },
  { key: "usd_per_million_tokens", title: "$/1M tok", number: true, text: (row) => num3(row.usd_per_million_tokens), target: false },
  { key: "qps_per_gpu", title: "QPS/GPU", number: true, down: true, text: (row) => num3(row.qps_per_gpu), target: false, unpriced: true },
  { key: "num_gpus", title: "GPUs", number: true, text: (row) => String(row.num_gpus), target: true },
  { key: "num_nodes", title: "Nodes", number: true, text: (row) => String(row.num_nodes), target: true },
  { key: "usd_per_hour", title: "$/hour", number: true, text: (row) => usd(row.usd_per_hour), target: true },
  { key: "usd_per_month", title: "$/month", number: true, text: (row) => usd(row.usd_per_month), target: true },
  { key: "busy", title: "Busy", number: true, text: (row) => percent(row.busy), target: true },
  { key: "margin", title: "Margin", number: true, down: true, text: (row) => percentOf(row.margin), target: true },
  { key: "added_gpus", title: "+GPUs", number: true, text: (row) => String(row.added_gpus ?? "-"), added: true },
  { key: "added_usd_per_hour", title: "+$/hour", number: true, text: (row) => usd(row.added_usd_per_hour), added: true },
  { key: "added_qps_per_dollar", title: "+QPS/$", number: true, down: true, text: (row) => num3(row.added_qps_per_dollar), target: false, added: true },
  ...data.latencies.map((slo) => ({
    key: slo.column, title: slo.header, number: true, text: (row) => sloValue(row[slo.column], slo),
  })),
  { key: "mfu", title: "MFU", number: true, down: true, text: (row) => percent(row.mfu) },
  { key: "memory_usage", title: "KV used", number: true, down: true, text: (row) => percent(row.memory_usage) },
  { key: "status", title: "Status", text: statusCell },
  { key: "bottleneck", title: "Limited by", wrap: true, text: (row) => (isOk(row) ? row.bottleneck : row.reason) },
];

function statusCell(row) {
  if (isOk(row)) return row.pareto ? "Pareto" : "ok";
  return el("span.status", { title: statusWords[row.status] }, statusShort[row.status] || row.status);
}

function compareBy(key, down) {
  return (a, b) => {
    let x = a[key], y = b[key];
    if (key === "rank") { x = x || Infinity; y = y || Infinity; }
    const missing = (value) => value === null || value === undefined || value === "";
    if (missing(x) || missing(y)) return missing(x) - missing(y) || a.index - b.index;
    const order = typeof x === "string" ? x.localeCompare(y, "en", { numeric: true }) : (x > y) - (x < y);
    return (down ? -order : order) || a.index - b.index;
  };
}

/* "tp4" and "pp2" are found too, though the columns hold bare numbers. */
function searchText(row) {
  return [row.model, row.trace, row.device, row.network_device, row.scheduler_text, row.status, row.bottleneck,
    row.reason, `tp${row.tensor_parallel_size}`, `pp${row.num_pipeline_stages}`, `batch${row.batch_size}`,
    row.candidate_id].join(" ").toLowerCase();
}

function filteredRows() {
  const all = $("all-groups").checked, status = $("status").value, pareto = $("only-pareto").checked;
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  return (all ? rows : theGroup().rows).filter((row) => passesSku(row) && (!status || row.status === status) &&
    (!pareto || row.pareto) && words.every((word) => searchText(row).includes(word)));
}

function headCell(column) {
  const sorted = state.sort.key === column.key;
  const direction = sorted ? (state.sort.down ? "descending" : "ascending") : "none";
  const sort = () => {
    state.sort = { key: column.key, down: sorted ? !state.sort.down : Boolean(column.down) };
    drawRanking();
    const again = $("candidates").querySelector(`th[data-key="${column.key}"] button`);
    if (again) again.focus();
  };
  return el(column.number ? "th.number" : "th", { scope: "col", "aria-sort": direction, "data-key": column.key },
    el("button", { type: "button", onclick: sort }, column.title));
}

function bodyRow(columns, row) {
  return el("tr", { "data-row": row.index }, ...columns.map((column) => {
    const text = column.text ? column.text(row) : String(row[column.key]);
    const kind = column.number ? "td.number" : column.wrap ? "td.wrap" : "td";
    if (column.key !== "network_device") return el(kind, null, text);
    return el(kind, null, el("button.link", {
      type: "button", "aria-label": `Details of ${configuration(row)}`, onclick: () => showDetail(row),
    }, text));
  }));
}

function drawRanking() {
  const all = $("all-groups").checked;
  const columns = rankingColumns.filter((column) => (all || !column.groups) &&
    (column.target === undefined || column.target === anyTarget) &&
    (!column.added || theGroup().rows.some((row) => known(row.added_gpus))) &&
    (!column.unpriced || theGroup().rows.some((row) => isOk(row) && !hasPrice(row))));
  const list = filteredRows().sort(compareBy(state.sort.key, state.sort.down));
  const shown = list.slice(0, state.shown);
  const body = shown.map((row) => bodyRow(columns, row));
  if (!list.length) body.push(el("tr", null, el("td.empty", { colspan: columns.length }, "No candidate matches.")));
  $("candidates").replaceChildren(el("caption.visually-hidden", null, "All candidates"),
    el("thead", null, el("tr", null, ...columns.map(headCell))), el("tbody", null, ...body));
  $("marks").replaceChildren(...marks(shown.filter(isOk)).map((text) => el("p.muted", null, text)));
  $("shown").textContent = `${shown.length} of ${all ? rows.length : theGroup().count} candidates`;
  $("more").hidden = shown.length === list.length;
  $("more").textContent = `Show all ${list.length} rows`;
}

/* ---- details of one candidate ---- */

function detailTable(row) {
  const table = el("table"), quantiles = [["p50", "P50"], ["p90", "P90"], ["p95", "P95"], ["p99", "P99"]];
  const metrics = [["ttft", "Time to first token"], ["tbt", "Time between tokens"], ["tpot", "Time per output token"],
    ["e2e", "End to end"], ["e2e_normalized", "End to end per output token"], ["scheduling_delay", "Scheduling delay"]];
  fillTable(table, "Latencies", [{ title: "Latency at maximum load", text: (metric) => metric[1] },
    ...quantiles.map(([key, title]) => ({ title, number: true, text: (metric) => time(row[`${metric[0]}_${key}_s`]) }))],
    metrics);
  return el("div.scroll", null, table);
}

function showDetail(row) {
  const dialog = $("detail"), facts = el("dl.pairs");
  const fraction = (value) => (known(value) ? percent(100 * value) : null);
  pairs(facts, [["Model, workload", `${row.model}, ${row.trace}`], ["Hardware", hardware(row)],
    ["Engine", `${row.scheduler_text}, batch size ${row.batch_size}`],
    ["Status", isOk(row) ? `ok, rank ${row.rank}` + (row.pareto ? ", on a Pareto front" : "") : statusWords[row.status]],
    [isOk(row) ? "Mind" : "Reason", row.reason], ["Limited by", row.bottleneck_detail ? `${row.bottleneck}: ${row.bottleneck_detail}` : row.bottleneck],
    ["SLO that ends it", sloTitle(row.limiting_slo)],
    ...(isOk(row) ? [[hasTarget(row) ? "Load asked for" : "Maximum load", `${hasTarget(row) ? num3(row.target_qps) : qpsText(row)} QPS ` +
        (hasPrice(row) ? `for $${usd(row.usd_per_hour)} per hour: ${num3(row.value)} QPS per dollar` : "at no known price")],
      ["Count on", confidence(row)],
      ["Cost", `$${num3(row.usd_per_million_tokens)} per million tokens, $${num3(usdPerThousand(row))} per 1,000 requests`],
      ["Tokens", known(row.usd_per_million_input_tokens) ? `$${num3(row.usd_per_million_input_tokens)} a million of input, ` +
        `$${num3(row.usd_per_million_output_tokens)} of output` : null],
      ["Energy", known(row.watts_per_gpu) ? `${num3(row.watts_per_gpu)} W a GPU, ${num3(row.wh_per_million_tokens)} Wh per million tokens, ` +
        `${num3(row.tokens_per_joule)} tokens per joule (estimate, GPUs alone)` : null],
      ["MFU, KV used, busy", `${percent(row.mfu)}, ${percent(row.memory_usage)}, ${percent(row.busy)}`],
      ["Mean batch", `${num3(row.mean_batch_size)} requests, ${num3(row.mean_tokens_per_batch)} tokens`],
      ["Batches at the cap", fraction(row.full_batch_fraction)],
      ["Prefix hit rate", fraction(row.prefix_hit_rate)],
      ["Rounds short of blocks", fraction(row.blocked_on_memory_fraction)], ["Restarts", grouped(row.preemptions)],
      ["Communication", fraction(row.communication_time_fraction)], ["Pipeline idle", fraction(row.pipeline_idle_fraction)],
      ["Extrapolated lookups", grouped(row.extrapolated)]] : []),
    ["Operator times", row.estimator], ["Candidate", row.candidate_id]]);
  dialog.replaceChildren(el("button.close", { type: "button", onclick: () => dialog.close() }, "Close"),
    el("h3", { id: "detail-title" }, configuration(row)), facts,
    ...(isOk(row) ? [detailTable(row), el("h3", null, "Against the SLOs"), sloBars(row), el("h3", null, "Launch"), launchBlock(row)] : []));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

/* ---- 3. Pareto ---- */

function drawFronts() {
  const list = groupRows().filter(isOk), best = bestRow();
  const ttft = sloOf({ metric: "ttft", title: "TTFT P90", column: "ttft_p90_s", limit_s: null });
  const tbt = sloOf({ metric: "tbt", title: "TBT P99", column: "tbt_p99_s", limit_s: null });
  drawPareto("chart-ttft", list, best, ttft);
  drawPareto("chart-tbt", list, best, tbt);
  drawTrade(list, best, ttft, tbt);
}

/* ---- 4. SKUs ---- */

const mostQps = () => +Math.max(sliderTop(), 1.25 * state.target).toPrecision(2);

/* As price_change of report_parts.c. */
const priceChange = (price, cheapest) => change(!known(price) ? NaN : price > cheapest ? price / cheapest : 1);

function drawSizing() {
  const target = state.target, list = groupSkus().map((sku) => ({ sku, size: chooseFor(state.group, sku.node, target) }));
  const cheapest = chooseFor(state.group, state.sku, target).usd_per_hour;
  const sized = (text) => (item) => (item.size.row ? text(item.size) : "-");
  $("choice").textContent = target > 0 ? loadText(theGroup(), state.sku, target) : "";
  fillTable($("sizing"), "What each SKU takes for the load", [
    { title: "SKU", text: (item) => item.sku.node },
    { title: "Cheapest for the load", config: true,
      text: (item) => (item.size.row ? shortConfiguration(item.size.row)
        : item.sku.best < 0 ? "no configuration serves this" : "nothing that can be rented for it") },
    { title: "Replicas", number: true, text: sized((size) => String(size.replicas)) },
    { title: "GPUs", number: true, text: sized((size) => String(size.billed_gpus)) },
    { title: "$/hour", number: true, text: sized((size) => usd(size.usd_per_hour)) },
    { title: "$/month", number: true, text: sized((size) => usd(HOURS_PER_MONTH * size.usd_per_hour)) },
    { title: list.some((item) => item.size.row && hasTarget(item.size.row)) ? "QPS at least" : "QPS at most", number: true, text: sized((size) => num3(size.capacity_qps)) },
    { title: "Costs", number: true, text: sized((size) => priceChange(size.usd_per_hour, cheapest)) },
    { title: "Known by", text: sized((size) => (size.simulated ? "simulated" : "scaled")) },
  ], list);
}

function drawSkuSection() {
  drawSizing();
  drawSkus(groupSkus());
  drawCost(groupSkus(), state.target, mostQps());
}

const capacity = (row) => (known(row.max_qps) ? row.max_qps : row.target_qps || 0);

/* The slider is logarithmic: 0..1 is 0.01..1 of four times the best SKU's maximum. */
const sliderTop = () => 4 * Math.max(0.25, ...groupSkus().map((sku) => (sku.best >= 0 ? capacity(rows[sku.best]) : 0)));
const targetAtSlider = (share) => sliderTop() * 10 ** (2 * (share - 1));

function setTarget(qps, from) {
  state.target = qps > 0 && Number.isFinite(qps) ? qps : 0;
  if (from !== "field") $("target").value = state.target ? +state.target.toPrecision(3) : "";
  const share = state.target > 0 ? 1 + Math.log10(state.target / sliderTop()) / 2 : 0;
  if (from !== "slider") $("target-slider").value = Math.round(1000 * Math.min(Math.max(share, 0), 1));
  $("target-slider").setAttribute("aria-valuetext", `${num3(state.target)} QPS`);
  drawSizing();
  drawCost(groupSkus(), state.target, mostQps());
}

/* ---- 5. mis-configuration ---- */

function lossCell(cell) {
  const row = rowAt(cell.row), tuned = data.groups[cell.tuned_for];
  if (!known(cell.loss)) return el("td.muted", null, row ? statusWords[row.status] : "not searched");
  const strength = Math.min(1, Math.max(0, cell.loss - 1)) * 0.75;
  return el(cell.served === cell.tuned_for ? "td.best" : "td", {
    style: `background: rgba(var(--heat), ${strength.toFixed(3)})`,
    title: `${configuration(row)}: best of ${tuned.trace}`,
  }, `${num3(cell.loss)}x`);
}

function drawMatrix() {
  const model = theGroup().model;
  const cells = data.matrix.filter((cell) => data.groups[cell.served].model === model);
  const served = [...new Set(cells.map((cell) => cell.served))];
  if (!served.length) {
    $("losses").replaceChildren(el("tbody", null, el("tr", null,
      el("td.empty", null, "This needs two workloads of a model, searched over the same space."))));
    return;
  }
  const head = el("tr", null, el("th", { scope: "col" }, "Workload served"),
    ...served.map((group) => el("th", { scope: "col" }, `best of ${data.groups[group].trace}`)));
  const body = served.map((group) => el("tr", null, el("th", { scope: "row" }, data.groups[group].trace),
    ...cells.filter((cell) => cell.served === group).map(lossCell)));
  $("losses").replaceChildren(el("caption.visually-hidden", null, `Mis-configuration of ${model}`),
    el("thead", null, head), el("tbody", null, ...body));
}

/* ---- 6. why ---- */

function drawWhy() {
  const list = groupRows().filter((row) => row.bottleneck);
  const tally = new Map();
  list.forEach((row) => tally.set(row.bottleneck, (tally.get(row.bottleneck) || 0) + 1));
  const entries = [...tally].sort((a, b) => b[1] - a[1]);
  drawLimits(entries);
  fillSelect($("limit"), [["", "anything"], ...entries.map(([name]) => [name, name])], state.limit);
  state.limit = $("limit").value;
  drawLimitTable(list);
}

function drawLimitTable(list) {
  fillTable($("limits"), "What limits each candidate", [
    { title: "Rank", number: true, text: (row) => String(row.rank || "-") },
    { title: "Configuration", config: true, text: configuration },
    { title: "Limited by", text: (row) => row.bottleneck },
    { title: "Numbers and the knob to try", wrap: true, text: (row) => row.bottleneck_detail },
    { title: "SLO that ends it", text: (row) => sloTitle(row.limiting_slo) },
  ], list.filter((row) => !state.limit || row.bottleneck === state.limit));
}

/* ---- 7. the search ---- */

function drawSearchFacts() {
  const search = data.search, share = (count) => (search.probes ? percent(100 * count / search.probes) : "-");
  const used = search.wall_s / (data.meta.ranks * data.meta.elapsed_s);
  tiles($("search-facts"), [["Candidates", grouped(rows.length)], ["Loads", grouped(search.probes), `${grouped(search.simulated)} simulated`],
    ["Stopped early", grouped(search.stopped_early), share(search.stopped_early)],
    ["Cut by the time limit", grouped(search.time_limited), share(search.time_limited)],
    ["Bracket violations", grouped(search.bracket_violations)],
    ["Requests simulated", grouped(search.simulated_requests)], ["Elapsed", time(data.meta.elapsed_s)],
    ["Simulation time", time(search.wall_s), `${percent(100 * used)} of ${plural(data.meta.ranks, "rank")}`]]);
  drawRanks(search.ranks);
  const list = rows.filter((row) => row.extrapolated > 0).sort((a, b) => b.extrapolated - a.extrapolated);
  const box = $("extrapolated");
  box.replaceChildren(el("h3", null, "Beyond the profiles"), el("p", null, list.length
    ? `${plural(list.length, "candidate")} looked up operator times beyond the profiles' range; trust these rows less.`
    : "No candidate looked up operator times beyond the profiles' range."));
  if (list.length) {
    const table = el("table");
    fillTable(table, "Extrapolated lookups", [{ title: "Model", text: (row) => row.model },
      { title: "Workload", text: (row) => row.trace }, { title: "Rank", number: true, text: (row) => String(row.rank || "-") },
      { title: "Configuration", config: true, text: configuration },
      { title: "Lookups", number: true, text: (row) => grouped(row.extrapolated) }], list.slice(0, 10));
    box.append(el("div.scroll", { tabindex: 0, role: "region", "aria-label": "Extrapolated lookups" }, table));
  }
}

function fillPaths() {
  const list = groupRows().filter((row) => row.num_probes > 0);
  fillSelect($("path-of"), list.map((row) => [String(row.index), (row.rank ? `${row.rank}. ` : "") + configuration(row)]), "");
  drawProbePath();
}

function drawProbePath() {
  const index = Number($("path-of").value), all = data.probes;
  const probes = !all || $("path-of").value === "" ? [] : all.row.map((row, i) => ({
    row, qps: all.qps[i], feasible: all.feasible[i], stopped_early: all.stopped_early[i], violated_slo: all.violated_slo[i],
  })).filter((probe) => probe.row === index).map((probe, i) => Object.assign(probe, { number: i + 1 }));
  drawPath(probes.length ? rows[index] : null, probes);
}

/* ---- 8. provenance ---- */

const sectionTitles = {
  slo: "Service level objectives", trace: "Workloads", model: "Models", device: "Devices and their prices",
  node: "Nodes", estimator: "Operator times", search: "Search settings",
};

function factTable(section) {
  const facts = factsOf(section), names = [...new Set(facts.map((fact) => fact[1]))];
  const keys = [...new Set(facts.map((fact) => fact[2]))], table = el("table");
  if (names.length === 1 && names[0] === "") {
    const list = el("dl.pairs");
    pairs(list, facts.map((fact) => [fact[2], fact[3]]));
    return list;
  }
  const value = (name, key) => (facts.find((fact) => fact[1] === name && fact[2] === key) || [])[3] || "-";
  fillTable(table, sectionTitles[section] || section, [{ title: "Name", text: (name) => name },
    ...keys.map((key) => ({
      title: key, text: (name) => value(name, key), wrap: names.some((name) => value(name, key).length > 30),
    }))], names);
  return el("div.scroll", { tabindex: 0, role: "region", "aria-label": sectionTitles[section] || section }, table);
}

function drawProvenance() {
  const meta = data.meta;
  pairs($("meta"), [["Made by", `vidur-search ${meta.version} (commit ${meta.commit})`], ["Written", meta.time],
    ["Results", meta.source], ["Configuration", meta.config_path], ["SHA-256 of it", meta.config_sha256],
    ["Seed", meta.seed], ["Ranks, threads", `${meta.ranks}, ${meta.threads}`], ["Elapsed", time(meta.elapsed_s)]]);
  const order = Object.keys(sectionTitles);
  const sections = [...new Set([...order, ...data.facts.map((fact) => fact[0])])]
    .filter((section) => section !== "note" && factsOf(section).length);
  $("facts").replaceChildren(...sections.flatMap((section) =>
    [el("h3", null, sectionTitles[section] || section), factTable(section)]));
  $("config").textContent = meta.config_text;
  $("chart-version").textContent = `Chart.js ${Chart.version}`;
}
