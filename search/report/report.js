"use strict";
/* Starts the page: choices, theme, printing. */

function drawGroup() {
  drawAnswers();
  drawBest();
  drawRanking();
  drawFronts();
  drawSkuSection();
  drawMatrix();
  drawWhy();
  fillPaths();
}

function drawEverything() {
  drawGroup();
  drawSearchFacts();
}

function fillChoices() {
  const models = [...new Set(data.groups.map((group) => group.model))];
  fillSelect($("model"), models.map((name) => [name, name]), theGroup().model);
  const traces = data.groups.filter((group) => group.model === theGroup().model).map((group) => group.trace);
  fillSelect($("trace"), traces.map((name) => [name, name]), theGroup().trace);
  const skus = [...new Set(theGroup().rows.map((row) => row.network_device))];
  if (!skus.includes(state.sku)) state.sku = "";
  fillSelect($("sku"), [["", "all"], ...skus.map((name) => [name, name])], state.sku);
}

function choose(group) {
  state.group = group;
  fillChoices();
  setTarget(defaultTarget(), "group");
  drawGroup();
}

/* A round load that the best configuration serves about twice over. */
function defaultTarget() {
  if (data.meta.target_qps > 0) return data.meta.target_qps;
  const best = rowAt(theGroup().best);
  if (!best) return 0;
  return hasTarget(best) ? best.target_qps : +(2 * best.max_qps).toPrecision(1);
}

function chooseByName() {
  const model = $("model").value, trace = $("trace").value;
  const same = data.groups.findIndex((group) => group.model === model && group.trace === trace);
  choose(same >= 0 ? same : data.groups.findIndex((group) => group.model === model));
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  $("theme").textContent = theme === "dark" ? "Light theme" : "Dark theme";
}

function listen() {
  $("model").addEventListener("change", chooseByName);
  $("trace").addEventListener("change", chooseByName);
  $("sku").addEventListener("change", () => { state.sku = $("sku").value; drawGroup(); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  ["find", "status", "only-pareto", "all-groups"].forEach((id) => $(id).addEventListener("input", drawRanking));
  $("more").addEventListener("click", () => { state.shown = Infinity; drawRanking(); });
  $("load").addEventListener("input", () => { state.load = Math.max(0, Number($("load").value)); drawLoads(); });
  $("target").addEventListener("input", () => setTarget(Number($("target").value), "field"));
  $("target-slider").addEventListener("input", () =>
    setTarget(+(targetAtSlider($("target-slider").value / 1000)).toPrecision(3), "slider"));
  $("limit").addEventListener("change", () => {
    state.limit = $("limit").value;
    drawLimitTable(groupRows().filter((row) => row.bottleneck));
  });
  $("path-of").addEventListener("change", drawProbePath);
  $("theme").addEventListener("click", () => {
    setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    drawEverything();
  });
  document.addEventListener("keydown", chartKeys);
}

/* Paper is white whatever the screen is. */
function listenPrint() {
  let before = null;
  addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    setTheme("light");
    drawEverything();
  });
  addEventListener("afterprint", () => {
    setTheme(before || "light");
    drawEverything();
  });
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => { setTheme(dark.matches ? "dark" : "light"); drawEverything(); });
  const meta = data.meta;
  $("subtitle").textContent = `${plural(rows.length, "candidate")}, ${loads(data.search)}, ` +
    `written ${meta.time}` + (meta.config_path ? `, from ${meta.config_path}` : "");
  const notes = factsOf("note").map((fact) => fact[3]);
  if (meta.caution) notes.unshift(meta.caution);
  $("notes").replaceChildren(...notes.map((note) => el("p.note", null, note)));
  const statuses = Object.keys(statusWords).filter((status) => rows.some((row) => row.status === status));
  fillSelect($("status"), [["", "any"], ...statuses.map((status) => [status, statusWords[status]])], "");
  fillChoices();
  state.target = defaultTarget();
  setTarget(state.target, "start");
  listen();
  listenPrint();
  startLoads();
  drawEverything();
  drawProvenance();
}

start();
