/* Line charts as SVG: axes with round ticks, a legend, values under the pointer or by arrow keys, and a table. */

const SVG = "http://www.w3.org/2000/svg";
const CHART = { width: 640, height: 330, left: 62, right: 18, top: 34, bottom: 48 };

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Round numbers from `low` to `high`, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((digit) => digit * power >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found;
}

/** Ticks of a logarithmic axis: powers of ten, and 2 and 5 times them where there are few. */
function logTicks(low, high) {
  const digits = high / low > 300 ? [1] : [1, 2, 5];
  const found = [];
  for (let power = Math.floor(Math.log10(low)); 10 ** power <= high; power++) {
    for (const digit of digits) {
      const value = digit * 10 ** power;
      if (value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9)) found.push(value);
    }
  }
  return found;
}

/** An axis: a value's place between `from` and `to`, by its logarithm if so. */
function axisOf(low, high, from, to, logarithmic = false) {
  const measure = logarithmic ? Math.log : (value) => value;
  const [a, b] = [measure(low), measure(high)];
  const place = (value) => from + ((measure(value) - a) / (b - a || 1)) * (to - from);
  return { low, high, place, ticks: logarithmic ? logTicks(low, high) : ticks(low, high, Math.abs(to - from) / (from > to ? 50 : 80)) };
}

/** Bounds of all values of series, a little beyond them. */
function boundsOf(values, logarithmic) {
  const known = values.filter((value) => value !== null && Number.isFinite(value) && (!logarithmic || value > 0));
  if (!known.length) return logarithmic ? [0.1, 1] : [0, 1];
  let [low, high] = [Math.min(...known), Math.max(...known)];
  if (logarithmic) return [low / 1.25, high * 1.25];
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const beyond = 0.04 * (high - low);
  return [low - beyond, high + beyond];
}

/**
 * Draw a chart.
 *
 * `chart` has `title`, `caption`, `xLabel`, `yLabel`, `series` (`name`, `x`, `y`, `place` for its colour, `dash`,
 * `points`, `faint`, `tableOnly`), and may have `xRange`, `yRange`, `logarithmic`, `levels` (`value`, `name`: lines across) and `above` (`label`, `text`:
 * what is written above the ticks along x).
 */
function drawChart(chart) {
  const { width, height, left, right, top, bottom } = CHART;
  const known = chart.series.filter(({ y }) => y.some((value) => value !== null));
  const series = known.filter(({ tableOnly }) => !tableOnly);
  const [xLow, xHigh] = chart.xRange ?? boundsOf(series.flatMap(({ x }) => x), false);
  const [yLow, yHigh] = chart.yRange ?? boundsOf(series.flatMap(({ y }) => y), chart.logarithmic);
  const across = axisOf(xLow, xHigh, left, width - right);
  const up = axisOf(yLow, yHigh, height - bottom, top, chart.logarithmic);
  const picture = svg("svg", {
    viewBox: `0 0 ${width} ${height}`,
    class: "chart",
    role: "img",
    tabindex: "0",
    "aria-label": `${chart.title}: ${chart.yLabel} over ${chart.xLabel}. Arrow keys read values.`,
  });
  for (const value of up.ticks) {
    const y = up.place(value);
    picture.append(svg("line", { class: "grid", x1: left, x2: width - right, y1: y, y2: y }));
    picture.append(svg("text", { class: "tick", x: left - 8, y: y + 4, "text-anchor": "end" }, tickText(value)));
  }
  for (const value of across.ticks) {
    const x = across.place(value);
    picture.append(svg("line", { class: "mark", x1: x, x2: x, y1: height - bottom, y2: height - bottom + 5 }));
    picture.append(svg("text", { class: "tick", x, y: height - bottom + 19, "text-anchor": "middle" }, tickText(value)));
    const above = chart.above && value > 0 ? chart.above.text(value) : "";
    if (above) picture.append(svg("text", { class: "tick", x, y: top - 6, "text-anchor": "middle" }, above));
  }
  picture.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: height - bottom, y2: height - bottom }));
  picture.append(svg("text", { class: "label", x: (left + width - right) / 2, y: height - 8, "text-anchor": "middle" }, chart.xLabel));
  picture.append(
    svg("text", { class: "label", transform: `translate(15 ${(top + height - bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, chart.yLabel),
  );
  if (chart.above) picture.append(svg("text", { class: "label", x: width - right, y: 12, "text-anchor": "end" }, chart.above.label));
  for (const { value, name } of chart.levels ?? []) {
    const y = up.place(value);
    picture.append(svg("line", { class: "level", x1: left, x2: width - right, y1: y, y2: y }));
    picture.append(svg("text", { class: "tick", x: width - right - 4, y: y - 4, "text-anchor": "end" }, name));
  }
  for (const line of series) picture.append(...drawSeries(line, across, up, chart.logarithmic));
  const rule = svg("line", { class: "rule", y1: top, y2: height - bottom, visibility: "hidden" });
  picture.append(rule);
  const told = element("output", { class: "told" });
  listenToChart(picture, { rule, told, series, across, chart });
  return element(
    "figure",
    { class: "chart-box" },
    element("figcaption", {}, element("strong", {}, chart.title), " ", chart.caption),
    picture,
    legend(series),
    told,
    valuesTable(chart, known),
  );
}

/** A tick's number: powers of ten as such. */
function tickText(value) {
  const size = Math.abs(value);
  return size !== 0 && size < 1e-2 ? value.toExponential(0).replaceAll("-", "−") : formatNumber(tidy(value));
}

/** Without the last digits of binary fractions. */
function tidy(value) {
  return Number(value.toPrecision(10));
}

function drawSeries(line, across, up, logarithmic) {
  const style = `series-${line.place ?? 0}${line.faint ? " faint" : ""}${line.dash ? ` dash-${line.dash}` : ""}`;
  const usable = (value) => value !== null && (!logarithmic || value > 0);
  const clipped = (value) => Math.max(up.low, Math.min(up.high, value));
  const drawn = [];
  if (!line.points) {
    let path = "";
    line.y.forEach((value, i) => {
      if (!usable(value)) return;
      const begun = i > 0 && usable(line.y[i - 1]);
      path += `${begun ? "L" : "M"}${across.place(line.x[i]).toFixed(1)} ${up.place(clipped(value)).toFixed(1)}`;
    });
    drawn.push(svg("path", { class: `line ${style}`, d: path }));
  }
  if (line.points || line.x.length < 40) {
    line.y.forEach((value, i) => {
      if (!usable(value)) return;
      drawn.push(svg("circle", { class: `dot ${style}`, cx: across.place(line.x[i]), cy: up.place(clipped(value)), r: line.points ? 4 : 2.2 }));
    });
  }
  return drawn;
}

function legend(series) {
  const list = element("ul", { class: "legend" });
  for (const line of series) {
    const sample = svg("svg", { viewBox: "0 0 28 10", class: "sample", "aria-hidden": "true" });
    const style = `series-${line.place ?? 0}${line.faint ? " faint" : ""}${line.dash ? ` dash-${line.dash}` : ""}`;
    sample.append(
      line.points ? svg("circle", { class: `dot ${style}`, cx: 14, cy: 5, r: 4 }) : svg("path", { class: `line ${style}`, d: "M1 5L27 5" }),
    );
    list.append(element("li", {}, sample, line.name));
  }
  return list;
}

/** Values at the pointer, or at the place that arrow keys choose. */
function listenToChart(picture, { rule, told, series, across, chart }) {
  const places = [...new Set(series.flatMap(({ x }) => x))].sort((a, b) => a - b);
  let chosen = -1;
  const tell = (index) => {
    chosen = Math.max(0, Math.min(places.length - 1, index));
    const at = places[chosen];
    rule.setAttribute("x1", across.place(at));
    rule.setAttribute("x2", across.place(at));
    rule.setAttribute("visibility", "visible");
    const values = series.map(({ name, x, y }) => `${name} ${formatNumber(y[x.indexOf(at)] ?? null)}`);
    told.textContent = `${chart.xLabel} ${formatNumber(tidy(at))}: ${values.join(", ")}`;
  };
  const hide = () => {
    rule.setAttribute("visibility", "hidden");
    told.textContent = "";
  };
  picture.addEventListener("pointermove", (event) => {
    if (!places.length) return;
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * CHART.width;
    const distances = places.map((value) => Math.abs(across.place(value) - x));
    tell(distances.indexOf(Math.min(...distances)));
  });
  picture.addEventListener("pointerleave", hide);
  picture.addEventListener("blur", hide);
  picture.addEventListener("keydown", (event) => {
    if (!places.length || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    tell(chosen + (event.key === "ArrowRight" ? 1 : -1));
    event.preventDefault();
  });
}

/** The same numbers as a table, folded away. */
function valuesTable(chart, series) {
  const places = [...new Set(series.flatMap(({ x }) => x))].sort((a, b) => a - b);
  const body = places.map((at) => [
    formatNumber(tidy(at)),
    ...series.map(({ x, y }) => formatNumber(y[x.indexOf(at)] ?? null)),
  ]);
  return foldedTable("Values", [chart.xLabel, ...series.map(({ name }) => name)], body);
}

function foldedTable(title, heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map(([first, ...rest]) =>
    element("tr", {}, element("th", { scope: "row" }, first), ...rest.map((text) => element("td", {}, text))),
  );
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...body));
  const box = element("div", { class: "scroll", role: "region", "aria-label": title, tabindex: "0" }, table);
  return element("details", {}, element("summary", {}, title), box);
}
