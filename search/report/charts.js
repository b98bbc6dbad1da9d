"use strict";
/* The charts. Colours come from the style sheet; shapes tell SKUs apart as well. */

Chart.defaults.animation = false;
Chart.defaults.maintainAspectRatio = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;

const shapes = ["circle", "rect", "triangle", "rectRot", "star", "crossRot"];
/* A ramp that stays ordered for every kind of colour vision (cividis, Nunez et al. 2018). */
const ramp = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

const charts = {};
const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const nodes = [...new Set(rows.map((row) => row.network_device))];
const seriesColor = (node) => style(`--series-${nodes.indexOf(node) % 6 + 1}`);
const seriesShape = (node) => shapes[nodes.indexOf(node) % shapes.length];

function rampColor(share) {
  const at = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(at), ramp.length - 2);
  const mix = ramp[low].map((value, i) => Math.round(value + (ramp[low + 1][i] - value) * (at - low)));
  return `rgb(${mix.join(", ")})`;
}

const tick = (value) => String(+Number(value).toPrecision(3));

/* Logarithmic axes are labelled at 1, 2, 5, 10, ... only. */
function tick125(value) {
  return [1, 2, 5].includes(+(value / 10 ** Math.floor(Math.log10(value) + 1e-9)).toPrecision(3)) ? tick(value) : null;
}

/* The nearest of ... 0.5, 1, 2, 5, 10 ... beyond a value: where logarithmic axes end. */
function roundOut(value, up) {
  const decade = 10 ** Math.floor(Math.log10(value));
  const steps = [1, 2, 5, 10].map((step) => step * decade);
  return up ? steps.find((step) => step >= value) : steps.reverse().find((step) => step <= value);
}

function axis(title, values, options) {
  const known_values = values.filter((value) => known(value) && value > 0);
  const low = Math.min(...known_values), high = Math.max(...known_values);
  const log = options && options.log && known_values.length > 1 && high / low > 8;
  const scale = {
    type: log ? "logarithmic" : "linear",
    title: { display: true, text: title, color: style("--ink") },
    ticks: { color: style("--muted"), callback: tick, maxRotation: 0, autoSkipPadding: 12 },
    grid: { color: style("--line") },
    beginAtZero: !log,
  };
  if (log) Object.assign(scale.ticks, { autoSkip: false, callback: tick125 });
  if (log) Object.assign(scale, { min: roundOut(low / 1.05, false), max: roundOut(high * 1.05, true) });
  else scale.suggestedMax = high * 1.04;
  return scale;
}

function describe(row) {
  return [configuration(row), `${hasTarget(row) ? num3(row.target_qps) : qpsText(row)} QPS, ${num3(row.value)} ${valueTitle(row.group)}`,
    data.latencies.map((slo) => `${slo.title} ${sloValue(row[slo.column], slo)}`).join(", "),
    `limited by ${row.bottleneck}`];
}

/* Points that no other beats in x (smaller) and y (larger). */
function front(points) {
  const sorted = points.slice().sort((a, b) => a.x - b.x || b.y - a.y);
  let best = -Infinity;
  return sorted.filter((point) => point.y > best && (best = point.y, true));
}

const line = (label, points, color, dash) => ({
  label, data: points, showLine: true, borderColor: color, backgroundColor: color, borderWidth: 1.5,
  borderDash: dash || [], pointStyle: "line", pointRadius: 0, pointHitRadius: 0, pointHoverRadius: 0, order: 1, helper: true,
});

function draw(id, config, summary) {
  const canvas = $(id);
  if (charts[id]) charts[id].destroy();
  canvas.setAttribute("role", "img");
  canvas.setAttribute("tabindex", "0");
  canvas.setAttribute("aria-label", summary);
  config.options = Object.assign({ interaction: { mode: "nearest", intersect: true } }, config.options);
  const plugins = config.options.plugins || (config.options.plugins = {});
  plugins.legend = Object.assign({
    labels: { color: style("--ink"), usePointStyle: true, boxHeight: 7 }, position: "bottom",
  }, plugins.legend);
  charts[id] = new Chart(canvas, config);
}

const rowTooltip = {
  filter: (item) => item.raw.row !== undefined,
  callbacks: { title: () => "", label: (item) => describe(rows[item.raw.row]) },
  displayColors: false,
};

function openPoint(event, active, chart) {
  const hit = active.find((item) => chart.data.datasets[item.datasetIndex].data[item.index].row !== undefined);
  if (hit) showDetail(rows[chart.data.datasets[hit.datasetIndex].data[hit.index].row]);
}

/* One set for each SKU; points on a Pareto front have an outline. */
function scatterSets(list, x, y) {
  const radius = list.length > 150 ? 3.5 : 4.5;
  const open = ["star", "crossRot"]; /* shapes without an area: their stroke is the colour */
  return nodes.map((node) => {
    const color = seriesColor(node), shape = seriesShape(node), stroke = open.includes(shape);
    const points = list.filter((row) => row.network_device === node && known(row[x]) && known(row[y]))
      .map((row) => ({ x: row[x], y: row[y], row: row.index }));
    return {
      label: node, data: points, backgroundColor: color, borderColor: stroke ? color : style("--ink"),
      borderWidth: points.map((point) => (stroke ? 2 : rows[point.row].pareto ? 1.5 : 0)),
      pointStyle: shape, radius, hoverRadius: 8, order: 2,
    };
  }).filter((set) => set.data.length);
}

/* A ring around the best configuration. */
function ring(best, x, y) {
  return {
    label: "best", data: best ? [{ x: best[x], y: best[y] }] : [], helper: true, pointStyle: "circle",
    radius: 10, hoverRadius: 10, hitRadius: 0, borderWidth: 2, borderColor: style("--ink"),
    backgroundColor: "transparent", order: 3,
  };
}

/* The SLO on a metric, or what stands in where there is none. */
function sloOf(usual) {
  return data.slos.find((slo) => slo.metric === usual.metric && !slo.class && rows.some((row) => known(row[slo.column]))) || usual;
}

function drawPareto(id, list, best, slo) {
  const column = slo.column;
  const sets = scatterSets(list, column, "value");
  const points = sets.flatMap((set) => set.data);
  const edge = front(points);
  const top = Math.max(0, ...points.map((point) => point.y));
  sets.push(ring(best, column, "value"));
  sets.push(line("Pareto front", edge.map(({ x, y }) => ({ x, y })), style("--ink")));
  if (known(slo.limit_s)) {
    sets.push(line(`SLO ${time(slo.limit_s)}`, [{ x: slo.limit_s, y: 0 }, { x: slo.limit_s, y: top * 1.04 }],
      style("--warn"), [6, 4]));
  }
  const xs = points.map((point) => point.x).concat(known(slo.limit_s) ? [slo.limit_s] : []);
  draw(id, {
    type: "scatter", data: { datasets: sets },
    options: {
      scales: { x: axis(`${slo.title}, s`, xs, { log: true }), y: axis(valueTitle(state.group), [top]) },
      plugins: { tooltip: rowTooltip }, onClick: openPoint,
    },
  }, `${valueTitle(state.group)} against ${slo.title}: ${plural(points.length, "configuration")}, ` +
    `${edge.length} on the front` + (best ? `; best: ${configuration(best)}` : ""));
}

function drawTrade(list, best, x_slo, y_slo) {
  const x = x_slo.column, y = y_slo.column;
  const sets = scatterSets(list.slice().reverse(), x, y); /* the best on top */
  const values = list.map((row) => row.value).filter(known);
  const low = Math.min(...values), high = Math.max(...values);
  const color = (point) => rampColor(high > low ? (rows[point.row].value - low) / (high - low) : 1);
  sets.forEach((set) => {
    set.backgroundColor = set.data.map(color);
    set.borderColor = set.borderColor === style("--ink") ? style("--muted") : set.backgroundColor;
    set.borderWidth = set.borderWidth.map((width) => Math.max(width, 1));
  });
  const xs = sets.flatMap((set) => set.data.map((point) => point.x));
  const ys = sets.flatMap((set) => set.data.map((point) => point.y));
  sets.push(ring(best, x, y));
  const right = Math.max(x_slo.limit_s || 0, ...xs), top = Math.max(y_slo.limit_s || 0, ...ys);
  if (known(x_slo.limit_s)) {
    sets.push(line(`SLO ${x_slo.title}`, [{ x: x_slo.limit_s, y: 0 }, { x: x_slo.limit_s, y: top }],
      style("--warn"), [6, 4]));
  }
  if (known(y_slo.limit_s)) {
    sets.push(line(`SLO ${y_slo.title}`, [{ x: 0, y: y_slo.limit_s }, { x: right, y: y_slo.limit_s }],
      style("--warn"), [2, 3]));
  }
  draw("chart-trade", {
    type: "scatter", data: { datasets: sets },
    options: {
      scales: { x: axis(`${x_slo.title}, s`, [right]), y: axis(`${y_slo.title}, s`, [top]) },
      plugins: {
        tooltip: rowTooltip,
        legend: { labels: { color: style("--ink"), usePointStyle: true, boxHeight: 7, generateLabels: plainLabels } },
      },
      onClick: openPoint,
    },
  }, `${x_slo.title} against ${y_slo.title} of ${plural(xs.length, "configuration")}`);
  const stops = ramp.map((stop) => `rgb(${stop.join(",")})`).join(",");
  $("scale").replaceChildren(el("span", null, num3(low)),
    el("span.ramp", { style: `background: linear-gradient(to right, ${stops})` }),
    el("span", null, num3(high)), el("span", null, valueTitle(state.group)));
}

/* Legend marks in one colour where the points' colours mean something else. */
function plainLabels(chart) {
  return Chart.defaults.plugins.legend.labels.generateLabels(chart).map((label) => {
    const set = chart.data.datasets[label.datasetIndex];
    if (set.helper) return label;
    return Object.assign(label, {
      fillStyle: style("--muted"), strokeStyle: style("--muted"), pointStyle: seriesShape(set.label),
    });
  });
}

function bars(id, labels, values, colors, title, summary, tooltip) {
  draw(id, {
    type: "bar",
    data: { labels, datasets: [{ data: values, backgroundColor: colors, maxBarThickness: 36 }] },
    options: {
      indexAxis: "y",
      interaction: { mode: "nearest", axis: "y", intersect: false },
      scales: {
        x: axis(title, values),
        y: { ticks: { color: style("--ink"), autoSkip: false }, grid: { display: false } },
      },
      plugins: { legend: { display: false }, tooltip: { callbacks: { label: tooltip } } },
    },
  }, summary);
}

function drawSkus(skus) {
  const list = skus.filter((sku) => sku.best >= 0);
  bars("chart-sku", list.map((sku) => sku.node), list.map((sku) => rows[sku.best].value),
    list.map((sku) => seriesColor(sku.node)), valueTitle(state.group),
    `Best ${valueTitle(state.group)}: ` + list.map((sku) => `${sku.node} ${num3(rows[sku.best].value)}`).join(", "),
    (item) => describe(rows[list[item.dataIndex].best]));
}

/* Against a load: dollars an hour or, where nothing in a group has a price, GPUs. */
function drawCost(skus, target, most) {
  const list = skus.filter((sku) => sku.best >= 0), priced = data.groups[state.group].priced;
  const costOf = (size) => (priced ? size.usd_per_hour : size.row ? size.billed_gpus : NaN);
  const steps = 160;
  const loads = Array.from({ length: steps }, (unused, i) => most * (i + 1) / steps);
  const sets = list.map((sku, at) => ({
    label: sku.node, stepped: "before", borderColor: seriesColor(sku.node), backgroundColor: seriesColor(sku.node),
    borderWidth: 2, borderDash: [[], [8, 3], [3, 3], [8, 3, 2, 3]][at % 4], pointRadius: 0, pointStyle: "line",
    data: loads.map((qps) => ({ x: qps, y: costOf(chooseFor(sku.group, sku.node, qps)) })), showLine: true,
  }));
  const top = Math.max(0, ...sets.flatMap((set) => set.data.map((point) => point.y)).filter(known));
  if (target > 0 && target <= most)
    sets.push(line(`${num3(target)} QPS`, [{ x: target, y: 0 }, { x: target, y: top }], style("--warn"), [6, 4]));
  draw("chart-cost", {
    type: "scatter", data: { datasets: sets },
    options: {
      interaction: { mode: "nearest", axis: "x", intersect: false },
      scales: {
        x: Object.assign(axis("QPS to serve", [most]), { max: most }),
        y: axis(priced ? "dollars per hour" : "GPUs", [top]),
      },
      plugins: {
        tooltip: {
          filter: (item) => !item.dataset.helper,
          callbacks: {
            title: (items) => (items.length ? `${num3(items[0].parsed.x)} QPS` : ""),
            label: (item) => `${item.dataset.label}: ${priced ? `$${usd(item.parsed.y)} per hour` : plural(item.parsed.y, "GPU")}`,
          },
        },
      },
    },
  }, `${priced ? "Dollars per hour" : "GPUs"} against load, up to ${num3(most)} QPS`);
}

function drawLimits(entries) {
  bars("chart-limits", entries.map(([name]) => name), entries.map(([, count]) => count),
    style("--series-1"), "candidates",
    "Candidates by limit: " + entries.map(([name, count]) => `${name} ${count}`).join(", "),
    (item) => plural(item.parsed.x, "candidate"));
}

function drawRanks(ranks) {
  bars("chart-ranks", ranks.map((unused, i) => `rank ${i}`), ranks.map((rank) => rank.wall_s), style("--series-1"),
    "seconds of simulation", "Seconds of simulation: " + ranks.map((rank, i) => `rank ${i} ${num3(rank.wall_s)}`).join(", "),
    (item) => `${num3(item.parsed.x)} s, ${plural(ranks[item.dataIndex].probes, "simulation")}`);
}

function drawPath(row, probes) {
  const met = probes.filter((probe) => probe.feasible), missed = probes.filter((probe) => !probe.feasible);
  const set = (label, list, color, shape) => ({
    label, data: list.map((probe) => ({ x: probe.number, y: probe.qps, probe })), showLine: false,
    backgroundColor: color, borderColor: color, borderWidth: 2, pointStyle: shape, radius: 6, hoverRadius: 8,
  });
  const sets = [
    set("SLOs met", met, style("--series-1"), "circle"), set("SLO missed", missed, style("--series-2"), "crossRot"),
    line("in order", probes.map((probe) => ({ x: probe.number, y: probe.qps })), style("--line")),
  ];
  if (row && known(row.max_qps))
    sets.push(line("maximum", [{ x: 1, y: row.max_qps }, { x: probes.length, y: row.max_qps }], style("--good"), [6, 4]));
  draw("chart-path", {
    type: "scatter", data: { datasets: sets },
    options: {
      scales: {
        x: Object.assign(axis("simulation", [probes.length]), { min: 0, ticks: { color: style("--muted"), precision: 0 } }),
        y: Object.assign(axis("QPS offered", probes.map((probe) => probe.qps)), { beginAtZero: false, grace: "10%" }),
      },
      plugins: {
        tooltip: {
          filter: (item) => item.raw.probe !== undefined,
          callbacks: {
            title: () => "",
            label: (item) => `${num3(item.raw.y)} QPS: ` + (item.raw.probe.feasible ? "SLOs met"
              : `${item.raw.probe.violated_slo || "SLO"} missed` + (item.raw.probe.stopped_early ? ", stopped early" : "")),
          },
        },
      },
    },
  }, row ? `${plural(probes.length, "load")} for ${configuration(row)}, maximum ${num3(row.max_qps)} QPS`
    : "No simulations recorded");
}

/* Arrow keys walk over a chart's points from left to right, Enter opens one. */
function chartKeys(event) {
  const chart = charts[event.target.id];
  if (!chart || !["ArrowLeft", "ArrowRight", "Enter", "Escape"].includes(event.key)) return;
  const points = chart.data.datasets.flatMap((set, datasetIndex) => (set.helper ? [] : set.data.map((point, index) =>
    ({ datasetIndex, index, at: chart.getDatasetMeta(datasetIndex).data[index] }))))
    .filter((point) => point.at && !point.at.skip)
    .sort((a, b) => (chart.options.indexAxis === "y" ? a.at.y - b.at.y : a.at.x - b.at.x || b.at.y - a.at.y));
  if (!points.length) return;
  event.preventDefault();
  if (event.key === "Enter") {
    const point = points[chart.at || 0];
    openPoint(event, [point], chart);
    return;
  }
  const step = event.key === "ArrowRight" ? 1 : -1;
  chart.at = chart.at === undefined ? 0 : (chart.at + step + points.length) % points.length;
  const active = event.key === "Escape" ? [] : [points[chart.at]];
  chart.setActiveElements(active);
  chart.tooltip.setActiveElements(active, active.length ? { x: active[0].at.x, y: active[0].at.y } : { x: 0, y: 0 });
  chart.update();
  const body = (chart.tooltip.body || []).flatMap((part) => part.lines);
  $("spoken").textContent = active.length ? body.join("; ") : "";
}
