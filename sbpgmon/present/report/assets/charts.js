// Values in their units, and options of charts.py made ready for ECharts. No page is needed: pictures are drawn with
// the same code. What units.py does is done here in the same way; a test holds the two together.
"use strict";
globalThis.sbpgmon = (() => {
  const NO_DATA = "No data";
  const SHORT = ["", " K", " Mil", " Bil", " Tri", " Quadr", " Quint", " Sext", " Sept"];
  const COUNT = ["", "K", "M", "B", "T"];
  const BINARY = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
  const PER_SECOND = { ops: "ops/s", reqps: "req/s", cpm: "c/m" };
  const MS = [[1e3, "ms", 1], [6e4, "s", 1e3], [3.6e6, "min", 6e4], [8.64e7, "hour", 3.6e6], [3.1536e10, "day", 8.64e7],
    [Infinity, "year", 3.1536e10]];
  const S = [[1e-6, "ns", 1e-9], [1e-3, "µs", 1e-6], [1, "ms", 1e-3], [60, "s", 1], [3600, "min", 60],
    [86400, "hour", 3600], [604800, "day", 86400], [31536000, "week", 604800], [Infinity, "year", 3.15569e7]];
  const PARTS = [["year", 31536000], ["month", 2592000], ["week", 604800], ["day", 86400], ["hour", 3600],
    ["minute", 60], ["second", 1]];
  const AGO = [[45, "", 1], [2700, "minute", 60], [79200, "hour", 3600], [2246400, "day", 86400],
    [27648000, "month", 2592000], [Infinity, "year", 31536000]];

  function show(value, unit, decimals, now) {
    if (value === null || value === undefined) return NO_DATA;
    switch (unit) {
      case "percentunit": return fixed(value * 100, decimals) + "%";
      case "short": return scaled(value, 1000, SHORT, decimals);
      case "bytes": return scaled(value, 1024, BINARY.map((prefix) => ` ${prefix}B`), decimals);
      case "binBps": return scaled(value, 1024, BINARY.map((prefix) => ` ${prefix}B/s`), decimals);
      case "ops": case "reqps": case "cpm": return `${scaled(value, 1000, COUNT, decimals)} ${PER_SECOND[unit]}`;
      case "ms": case "s": {
        const steps = unit === "ms" ? MS : S;
        const [, name, size] = unit === "s" && value === 0 ? steps[3] : steps.find(([below]) => Math.abs(value) < below);
        return `${fixed(value / size, decimals)} ${name}`;
      }
      case "dtdurations": return duration(value, decimals ?? 1);
      case "dateTimeAsIso": return moment(value);
      case "dateTimeFromNow": return ago(((now ?? Date.now()) - value) / 1000);
    }
    return typeof value === "number" ? fixed(value, decimals) : String(value);
  }

  function fixed(value, decimals) {
    const digits = decimals ?? decimalsOf(value);
    const factor = Number(`1e${digits}`);
    return (round(value * factor) / factor + 0).toFixed(digits);
  }

  function decimalsOf(value) {
    const size = Math.abs(value);
    if (size === Math.floor(size)) return 0;
    for (let power = 2; power > -12; power--) if (size >= Number(`1e${power}`)) return 2 - power;
    return 14;
  }

  function round(value) {
    const floor = Math.floor(value);
    return value - floor >= 0.5 ? floor + 1 : floor;
  }

  function scaled(value, factor, suffixes, decimals) {
    let index = 0;
    let size = Math.abs(value);
    while (size >= factor && index < suffixes.length - 1) {
      size /= factor;
      index++;
    }
    return fixed(value < 0 ? -size : size, decimals) + suffixes[index];
  }

  function plural(count, name) {
    return `${count} ${name}${count === 1 ? "" : "s"}`;
  }

  function duration(seconds, decimals) {
    if (seconds < 0) return `${duration(-seconds, decimals)} ago`;
    let left = Math.floor(seconds);
    if (left === 0) return seconds === 0 ? "0 seconds" : `${fixed(seconds * 1000, 0)} milliseconds`;
    const first = PARTS.findIndex(([, size]) => left >= size);
    return PARTS.slice(first, first + 1 + decimals).map(([name, size]) => {
      const count = Math.floor(left / size);
      left %= size;
      return plural(count, name);
    }).join(", ");
  }

  function ago(seconds) {
    const [, name, size] = AGO.find(([below]) => Math.abs(seconds) < below);
    const text = name ? plural(Math.max(1, round(Math.abs(seconds) / size)), name) : "a few seconds";
    return seconds >= 0 ? `${text} ago` : `in ${text}`;
  }

  // `2026-11-22 07:53:18`, in UTC.
  function moment(milliseconds) {
    const date = new Date(Math.floor(milliseconds / 1000) * 1000);
    if (!(date.getUTCFullYear() >= 1 && date.getUTCFullYear() <= 9999)) return NO_DATA;
    return date.toISOString().slice(0, 19).replace("T", " ");
  }

  // A column of the page's data: plain, or times as their first and the steps from each to the next, in seconds.
  function unpack(column) {
    if (Array.isArray(column)) return column;
    const times = [column.first * 1000];
    for (const step of column.steps ?? Array(column.count - 1).fill(column.step)) {
      times.push(times[times.length - 1] + step * 1000);
    }
    return times;
  }

  // The state that a value stands for, and what is written for it: { state, text }, or null.
  function stateOf(column, value) {
    if (value === null || value === undefined) return null;
    const named = (column.states ?? []).find(([of]) => of === String(value));
    if (named) return { state: named[1], text: named[2] };
    if (typeof value !== "number") return null;
    const reached = (column.thresholds ?? []).filter(([from]) => from === null || value >= from);
    return reached.length ? { state: reached[reached.length - 1][1], text: null } : null;
  }

  function written(column, value, now) {
    const state = stateOf(column, value);
    if (state && state.text !== null) return state.text;
    if (value === null || value === undefined) return column.kind === "value" ? NO_DATA : "";
    return column.kind === "label" ? String(value) : show(value, column.kind === "time" ? "dateTimeAsIso" : column.unit,
      column.decimals, now);
  }

  function escaped(text) {
    return String(text).replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);
  }

  // An option with its marks replaced: { $: WHAT, … }. Strings are never looked into: they may be anybody's.
  // `chart`: { columns, data }; `size`: [width, height] of the place, in pixels.
  function revive(option, chart, theme, size) {
    const marks = {
      theme: ({ name, index }) => index === undefined ? theme[name] : theme[name][index % theme[name].length],
      unit: ({ unit, decimals }) => (value) => show(Array.isArray(value) ? value[value.length - 1] : value, unit, decimals),
      axis: ({ unit, decimals }) => (value) => show(value, unit, decimals).replace(/(\.\d*?)0+(?=\D|$)/, "$1").replace(/\.(?=\D|$)/, ""),
      zip: ({ x, y }) => line(chart.data[x], chart.data[y], theme),
      cut: ({ count }) => (name) => name.length > count ? `${name.slice(0, count - 1).trimEnd()}…` : name,
      cells: ({ labels, step }) => labels.flatMap((place, row) => chart.data[place].flatMap((value, index) => {
        const time = chart.data[0][index];
        return value === null ? [] : [[time, time + step, row, value]];
      })),
      runs: ({ state }) => chart.data[0].flatMap((from, index) =>
        chart.data[4][index] === state ? [[from, chart.data[1][index], chart.data[5][index], chart.data[3][index]]] : []),
      box: ({ text }) => (params, api) => box(params, api, theme, text),
      said: ({ column, labels }) => (params) => {
        const [from, to, row, value] = params.value;
        return `${escaped(labels[row])}<br>${moment(from)} to ${moment(to)} UTC<br><b>` +
          `${escaped(written(chart.columns[column], value))}</b>`;
      },
      state: ({ column, index }) => (params) => {
        const found = stateOf(chart.columns[column], chart.data[column][params.dataIndex]);
        return found ? theme[found.state] : theme.series[index % theme.series.length];
      },
      names: () => Math.min(180, Math.max(80, size[0] * 0.28)),
      label: ({ column }) => ({ value }) => written(chart.columns[column], value ?? null),
      written: ({ column, value }) => written(chart.columns[column], value),
      time: () => ({ value }) => `${moment(value)} UTC`,
      gauges: ({ items, minimum, maximum }) => gauges(items, minimum, maximum, chart, theme, size),
    };
    const walk = (value) => {
      if (Array.isArray(value)) return value.map(walk);
      if (value === null || typeof value !== "object") return value;
      if (value.$ !== undefined) return marks[value.$](value);
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)]));
    };
    return walk(option);
  }

  // Points of a line. One that stands alone between unknown ones would not be seen: it gets a dot.
  function line(times, values) {
    return times.map((time, index) => {
      const isAlone = values[index] !== null && (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null;
      return isAlone ? { value: [time, values[index]], symbol: "circle", symbolSize: 5 } : [time, values[index]];
    });
  }

  // A cell of a heatmap, or a stretch of a timeline with its text where there is room.
  function box(params, api, theme, text) {
    const [left, middle] = api.coord([api.value(0), api.value(2)]);
    const [right] = api.coord([api.value(1), api.value(2)]);
    const band = api.size([0, 1])[1];
    const height = text === undefined ? band : Math.min(26, band * 0.8);
    const area = params.coordSys;
    const from = Math.max(left, area.x);
    const width = Math.min(right, area.x + area.width) - from;
    if (!(width > 0)) return undefined;
    const shape = { x: from, y: middle - height / 2, width: Math.max(width, 1), height: Math.max(height - 1, 1) };
    const rect = { type: "rect", shape, style: { fill: api.visual("color") } };
    if (text === undefined || height < 12 || width < text.length * 7 + 8) return rect;
    const label = { text, x: from + 5, y: middle - 0.5, fill: "#111", fontSize: 11, fontFamily: theme.font,
      textVerticalAlign: "middle", verticalAlign: "middle" };
    return { type: "group", children: [rect, { type: "text", style: label, silent: true }] };
  }

  // As many gauges as there are items, in as few rows as the place allows.
  function gauges(items, minimum, maximum, chart, theme, [width, height]) {
    let columns = 1;
    const side = (count) => Math.min(width / count, height / Math.ceil(items.length / count) / 0.92);
    for (let count = 2; count <= items.length; count++) if (side(count) > side(columns)) columns = count;
    const rows = Math.ceil(items.length / columns);
    const radius = side(columns) * 0.44;
    const thick = Math.max(6, radius * 0.18);
    return items.map(({ name, column, value }, index) => {
      const about = chart.columns[column];
      const found = stateOf(about, value);
      const last = index >= (rows - 1) * columns ? items.length - (rows - 1) * columns : columns;
      return {
        type: "gauge", min: minimum, max: maximum, startAngle: 205, endAngle: -25, radius, silent: true,
        center: [(index % columns + 0.5 + (columns - last) / 2) * width / columns,
          (Math.floor(index / columns) + 0.56) * height / rows],
        axisLine: { lineStyle: { width: thick, color: [[1, theme.track]] } },
        progress: { show: value !== null, width: thick, itemStyle: { color: found ? theme[found.state] : theme.series[0] } },
        pointer: { show: false }, axisTick: { show: false }, splitLine: { show: false }, axisLabel: { show: false },
        anchor: { show: false }, animation: false,
        title: { offsetCenter: [0, "62%"], color: theme.muted, fontSize: Math.max(10, Math.min(13, radius / 6)),
          fontFamily: theme.font, width: width / columns - 8, overflow: "truncate" },
        detail: { offsetCenter: [0, "6%"], color: found ? theme[`${found.state}Text`] : theme.text, fontFamily: theme.font,
          fontSize: Math.max(13, Math.min(30, radius / 3.2)), formatter: () => written(about, value) },
        data: [{ value: value ?? minimum, name }],
      };
    }).flatMap((gauge, index) => {
      const about = chart.columns[items[index].column];
      if (!(about.thresholds ?? []).length) return [gauge];
      // A thin ring outside says where the states begin.
      const span = maximum - minimum || 1;
      const color = about.thresholds.map(([, state], place, all) => [
        place + 1 < all.length ? Math.min(1, Math.max(0, (all[place + 1][0] - minimum) / span)) : 1, theme[state]]);
      return [gauge, { ...gauge, radius: gauge.radius + 5, axisLine: { lineStyle: { width: 3, color } },
        progress: { show: false }, title: { show: false }, detail: { show: false }, data: [] }];
    });
  }

  // How wide a text is, where nothing can measure it: by the widths of a common sans-serif, rather too wide.
  function measured(text, font) {
    const size = Number(/(\d+(?:\.\d+)?)px/.exec(font)?.[1] ?? 12);
    let width = 0;
    for (const sign of text) {
      width += /[iljtfrI.,:;|!'()[\] ]/.test(sign) ? 0.37 : /[mwMW@%]/.test(sign) ? 0.95 : /[A-Z]/.test(sign) ? 0.71 : 0.63;
    }
    return { width: width * size * (/bold|[6-9]00/.test(font) ? 1.08 : 1) };
  }

  // The SVG of a chart, without a page.
  function picture(chart, theme, width, height) {
    echarts.setPlatformAPI({ measureText: measured });
    const drawn = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
    drawn.setOption({ animation: false, ...revive(chart.option, chart, theme, [width, height]) });
    const svg = drawn.renderToSVGString();
    drawn.dispose();
    return svg;
  }

  return { show, fixed, moment, unpack, stateOf, written, revive, picture, escaped, NO_DATA };
})();
