// The page: draws what comes into view, the tables behind, the theme, printing.
"use strict";
(async () => {
  const { written, stateOf, revive, unpack } = globalThis.sbpgmon;

  // The text of a script element, which may be packed.
  async function textOf(name) {
    const { textContent, dataset } = document.getElementById(name);
    if (dataset.packed === undefined) return textContent;
    if (typeof DecompressionStream === "undefined") throw new Error("it cannot unpack them");
    const bytes = Uint8Array.from(atob(textContent.trim()), (sign) => sign.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  function complain(error) {
    const message = document.getElementById("without-charts");
    message.hidden = false;
    message.append(` (${error.message})`);
    for (const behind of document.querySelectorAll("details.behind")) behind.open = true;
  }

  let begun;
  const whenBegun = new Promise((resolve) => { begun = resolve; });
  window.__drawAll = () => whenBegun.then((drawAll) => drawAll()); // for those who want all of it at once
  let page;
  try {
    page = JSON.parse(await textOf("data"));
  } catch (error) {
    complain(error);
    return;
  }
  const root = document.documentElement;
  const figures = [...document.querySelectorAll("figure.panel")];
  const charts = new Map(); // element -> { instance, chart, option }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let isPrinting = false;

  function element(name, attributes = {}, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key === "class") made.className = value;
      else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (value !== undefined) made.setAttribute(key, value);
    }
    made.append(...children);
    return made;
  }

  function themeName() {
    if (isPrinting) return "light";
    return root.dataset.theme ?? (dark.matches ? "dark" : "light");
  }

  // -- the library ----------------------------------------------------------------------------------------------

  const library = (async () => {
    const script = element("script");
    script.textContent = await textOf("library");
    document.head.append(script);
    if (typeof echarts === "undefined") throw new Error("it refuses the library");
  })();
  library.catch(complain);

  // -- charts ---------------------------------------------------------------------------------------------------

  function panelOf(figure) {
    const panel = page.panels[figure.dataset.panel];
    if (!panel.isUnpacked) {
      panel.data = panel.data.map(unpack);
      panel.isUnpacked = true;
    }
    return panel;
  }

  async function draw(figure) {
    if (figure.dataset.drawn) return;
    const panel = panelOf(figure);
    const body = figure.querySelector(".body");
    figure.dataset.drawn = "begun";
    if (panel.kind === "table") body.replaceChildren(tableOf(panel, figure, true));
    else if (panel.kind === "stat") body.replaceChildren(tilesOf(panel));
    try {
      if (panel.option) await library.then(() => drawOption(figure, body, panel, panel.option));
      for (const place of body.querySelectorAll(".spark")) {
        await library.then(() => drawOption(figure, place, panel, panel.sparks[place.dataset.series]));
      }
      figure.dataset.drawn = "yes";
    } catch (error) {
      figure.dataset.drawn = "table";
      if (typeof echarts !== "undefined") throw error;
    }
  }

  function drawOption(figure, place, panel, option) {
    const instance = echarts.init(place, null, { renderer: "svg" });
    charts.set(place, { instance, panel, option, figure });
    paint(place);
    if (place.classList.contains("body")) new ResizeObserver(() => fit(place)).observe(place);
    if (panel.zoom) zoomable(figure, place, instance);
  }

  function paint(place) {
    const { instance, panel, option, figure } = charts.get(place);
    const size = [place.clientWidth, place.clientHeight];
    instance.setOption(revive(option, panel, page.themes[themeName()], size), { notMerge: true });
    if (panel.zoom && option === panel.option) select(instance, figure);
  }

  function fit(place) {
    const { instance, panel } = charts.get(place);
    if (instance.getWidth() === place.clientWidth && instance.getHeight() === place.clientHeight) return;
    instance.resize();
    if (panel.kind === "gauge") paint(place);
  }

  // Dragging over a chart chooses a stretch of time. Where there is no mouse, dragging scrolls the page.
  function select(instance) {
    if (matchMedia("(pointer: coarse)").matches) return;
    instance.setOption({ toolbox: { itemSize: 0, feature: { dataZoom: { yAxisIndex: "none", title: { zoom: "", back: "" },
      filterMode: "none" } } } });
    instance.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
  }

  function zoomable(figure, place, instance) {
    const reset = element("button", { type: "button", class: "reset", hidden: "" }, "Reset zoom");
    figure.querySelector("figcaption").append(reset);
    instance.on("datazoom", () => { reset.hidden = false; });
    reset.addEventListener("click", () => {
      reset.hidden = true;
      paint(place);
    });
  }

  function repaint() {
    for (const place of charts.keys()) paint(place);
  }

  // -- figures --------------------------------------------------------------------------------------------------

  function tilesOf(panel) {
    const count = panel.tiles.length;
    const size = count === 1 ? "one" : count <= 6 ? "few" : "many";
    return element("ul", { class: `tiles ${size}` }, ...panel.tiles.map(({ name, value, column, series }) => {
      const state = stateOf(panel.columns[column], value);
      const tile = element("li", { class: "tile", "data-state": state?.state ?? (value === null ? "unknown" : "") });
      if (name) tile.append(element("span", { class: "name", title: name }, name));
      tile.append(element("span", { class: "figure" }, written(panel.columns[column], value, page.generated)));
      if (series !== null && count <= 12) {
        tile.append(element("div", { class: "spark", "data-series": String(series), "aria-hidden": "true" }));
      }
      return tile;
    }));
  }

  // -- tables ---------------------------------------------------------------------------------------------------

  function tableOf(panel, figure, isPanel) {
    const shown = panel.columns.map((column, place) => place).filter((place) => !panel.columns[place].hidden);
    const order = panel.data[0].map((_, row) => row);
    const body = element("tbody");
    const most = Object.fromEntries(shown.filter((place) => panel.columns[place].bar).map((place) =>
      [place, panel.columns[place].unit === "percentunit" ? 1 : Math.max(...panel.data[place].map((value) => value ?? 0))]));
    const fill = () => body.replaceChildren(...order.map((row) =>
      element("tr", {}, ...shown.map((place) => cellOf(panel, place, row, most[place])))));
    const heads = shown.map((place) => {
      const column = panel.columns[place];
      const head = element("th", { scope: "col", class: column.kind });
      const button = element("button", { type: "button" }, column.title);
      button.addEventListener("click", () => {
        const isDown = head.getAttribute("aria-sort") !== "descending" && column.kind === "value" ||
          head.getAttribute("aria-sort") === "ascending";
        for (const other of heads) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isDown ? "descending" : "ascending");
        order.sort((a, b) => compared(panel.data[place][a], panel.data[place][b], isDown) || a - b);
        fill();
      });
      head.append(button);
      return head;
    });
    fill();
    const title = figure.querySelector("h3").textContent;
    const table = element("table", {}, element("caption", { class: isPanel ? "unseen" : "" }, isPanel ? title : `${title}: values`),
      element("thead", {}, element("tr", {}, ...heads)), body);
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, table` }, table);
  }

  function compared(a, b, isDown) {
    if (a === null || b === null) return (a === null) - (b === null);
    const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
    return isDown ? -order : order;
  }

  function cellOf(panel, place, row, most) {
    const column = panel.columns[place];
    const value = panel.data[place][row];
    const text = written(column, value, page.generated);
    const state = stateOf(column, value);
    const cell = element("td", { class: value === null && column.kind === "value" ? `${column.kind} unknown` : column.kind });
    const link = panel.links?.[place];
    let inner = text;
    const isLong = column.kind === "label" && text.length > 110;
    const isLed = link && link.rows[row];
    if (state) inner = element("span", { class: "badge", "data-state": state.state }, text);
    else if (isLong && !isLed) inner = cut(`${text.slice(0, 100).trimEnd()}…`, text, column.code);
    else if (column.code) inner = element("code", {}, isLong ? `${text.slice(0, 100).trimEnd()}…` : text);
    if (isLed) inner = element("a", { href: `#${link.to}` }, inner);
    if (most && value !== null) {
      const bar = element("span", { class: "bar" });
      bar.style.setProperty("--share", `${Math.max(0, Math.min(1, value / most)) * 100}%`);
      inner = element("span", { class: "barred" }, bar, element("span", {}, inner));
    }
    if (column.width && column.kind === "label" && column.width >= 300) cell.classList.add("long");
    if (column.unit === "dateTimeFromNow" && value !== null) cell.title = `${globalThis.sbpgmon.moment(value)} UTC`;
    if (column.kind === "label" && text.length <= 24) cell.classList.add("short");
    if (column.kind === "label" && text.length > 40) cell.classList.add("text");
    cell.append(inner);
    if (isLong && isLed) cell.append(cut("All of it", text, column.code));
    return cell;
  }

  function cut(short, text, isCode) {
    return element("details", { class: isCode ? "cut code" : "cut" }, element("summary", {}, short), element("pre", {}, text));
  }

  // Lowest, mean, highest and last of each series, also of those that are not drawn.
  function seriesTable(panel, figure) {
    const all = panel.columns.slice(1).map((column, place) => {
      const known = panel.data[place + 1].filter((value) => value !== null);
      if (!known.length) return [column.title, column, null];
      const sum = known.reduce((a, b) => a + b, 0);
      const least = known.reduce((a, b) => Math.min(a, b));
      return [column.title, column, [least, sum / known.length, known.reduce((a, b) => Math.max(a, b)), known[known.length - 1]]];
    });
    all.push(...panel.rest.map(([name, figures]) => [name, panel.columns[1], figures]));
    const rows = all.map(([name, column, figures]) => element("tr", {}, element("th", { scope: "row" }, name),
      ...[0, 1, 2, 3].map((place) => element("td", { class: "value" }, written(column, figures ? figures[place] : null)))));
    const heads = ["Series", "Lowest", "Mean", "Highest", "Last"].map((text, place) =>
      element("th", { scope: "col", class: place ? "value" : "label" }, text));
    const title = figure.querySelector("h3").textContent;
    return element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}, series` },
      element("table", {}, element("caption", {}, `${title}: series`), element("thead", {}, element("tr", {}, ...heads)),
        element("tbody", {}, ...rows)));
  }

  function showBehind(figure, details) {
    if (details.childElementCount > 1) return;
    const panel = panelOf(figure);
    if (panel.kind === "timeseries" || panel.kind === "heatmap") details.append(seriesTable(panel, figure));
    details.append(tableOf(panel, figure, false));
  }

  // -- the page -------------------------------------------------------------------------------------------------

  const drawable = figures.filter((figure) => page.panels[figure.dataset.panel]);
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) draw(entry.target);
  }, { rootMargin: "300px" });
  for (const figure of drawable) {
    watcher.observe(figure);
    const details = figure.querySelector("details.behind");
    if (details) details.addEventListener("toggle", () => { if (details.open) showBehind(figure, details); });
  }

  function drawAll() {
    return Promise.all(drawable.map(draw));
  }
  begun(drawAll);
  if (new URLSearchParams(location.search).get("draw") === "all") drawAll();

  const toggle = document.getElementById("theme");
  const sayTheme = () => {
    toggle.textContent = themeName() === "dark" ? "Light" : "Dark";
    toggle.setAttribute("aria-label", `Show in ${themeName() === "dark" ? "light" : "dark"} colours`);
  };
  toggle.addEventListener("click", () => {
    root.dataset.theme = themeName() === "dark" ? "light" : "dark";
    sayTheme();
    repaint();
  });
  dark.addEventListener("change", () => {
    sayTheme();
    repaint();
  });
  toggle.hidden = false;
  sayTheme();
  addEventListener("beforeprint", () => {
    isPrinting = true;
    drawAll();
    repaint();
  });
  addEventListener("afterprint", () => {
    isPrinting = false;
    repaint();
  });

  const anchors = [...document.querySelectorAll("nav.dashboards a")];
  const sections = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const anchor = anchors.find((each) => each.hash === `#${entry.target.id}`);
      if (entry.isIntersecting && anchor) {
        for (const each of anchors) each.removeAttribute("aria-current");
        anchor.setAttribute("aria-current", "true");
      }
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  for (const section of document.querySelectorAll("section.dashboard")) sections.observe(section);
})();
