/* The figures: which charts there are, of which of the tomograms, and what is said of them. */

/** Put charts into a section; where there are none, say why. */
function fill(id, charts, absent) {
  byId(id).append(...(charts.length ? charts : [element("p", { class: "absent" }, absent)]));
}

/** A name in a legend: with the tomogram's label only where there are several. */
function named(subjects, subject, words) {
  return subjects.length > 1 ? `${subject.label}, ${words}` : words;
}

function lossChart(subjects) {
  const series = [];
  for (const subject of subjects) {
    const { history, place } = subject;
    if (!history) continue;
    series.push({ name: named(subjects, subject, "loss"), x: history.epoch, y: history.loss, place });
    if (subjects.length > 1) continue;
    // Among what a method tells of an epoch are counts too: those are in the table only.
    const parts = Object.entries(history.terms).filter(([name]) => name !== "loss");
    parts.forEach(([name, y], i) => {
      const isPart = y.every((value, epoch) => value === null || value <= history.loss[epoch] * (1 + 1e-6));
      series.push({ name, x: history.epoch, y, place: 1 + (i % 5), dash: 1 + (i % 3), tableOnly: !isPart });
    });
  }
  if (!series.length) return [];
  const compared = subjects.length > 1 ? " Losses compare only within one method and one set of settings." : "";
  return [
    drawChart({
      title: "Loss.",
      caption: `What the fit minimizes, after each epoch. A step is a change of the grid, after which the fit goes on.${compared}`,
      xLabel: "epoch",
      yLabel: "loss",
      logarithmic: true,
      series,
    }),
  ];
}

function heldOutChart(subjects) {
  const series = [];
  for (const subject of subjects) {
    const { history, place } = subject;
    if (!history) continue;
    series.push({ name: named(subjects, subject, "over pixels"), x: history.epoch, y: history.correlation, place });
    series.push({ name: named(subjects, subject, "mean over rings"), x: history.epoch, y: history.mean_ring, place, dash: 1 });
  }
  if (!series.some(({ y }) => y.some((value) => value !== null))) return [];
  return [
    drawChart({
      title: "Held-out views.",
      caption: "Correlation of views that were not fitted with what the tomogram predicts of them. Where it falls again, later epochs fit noise.",
      xLabel: "epoch",
      yLabel: "correlation",
      series,
    }),
  ];
}

function ringChart(subjects) {
  const series = [];
  const size = subjects.find(({ rings }) => rings)?.rings.pixel_angstrom;
  const disproved = subjects.some(({ rings }) => rings?.disproved);
  const ceilings = new Set();
  for (const subject of subjects) {
    const { rings, place } = subject;
    if (!rings) continue;
    series.push({ name: named(subjects, subject, "predicted views"), x: rings.frequency, y: rings.measured, place });
    // The ceiling is the views' own: of one series it is drawn once.
    const key = JSON.stringify(rings.ceiling);
    if (!rings.ceiling.length || ceilings.has(key)) continue;
    ceilings.add(key);
    series.push({ name: named(subjects, subject, "ceiling of the noise"), x: rings.frequency, y: rings.ceiling, place, dash: 2, faint: true });
  }
  if (!series.length) return [];
  const sizes = new Set(subjects.filter(({ rings }) => rings).map(({ rings }) => rings.pixel_angstrom));
  const above = size && sizes.size === 1 ? { label: "resolution", text: (value) => lengthText(size / value) } : null;
  return [
    drawChart({
      title: "Ring correlation after the last epoch.",
      caption: `Fourier ring correlation of held-out views with their prediction, by spatial frequency. ${
        ceilings.size
          ? "The ceiling is what a perfect prediction would reach with views as noisy as these: an estimate. A ring far below it is one in which the tomogram does not know what the views show."
          : ""
      }${disproved ? "Detail up to the highest frequency hides what the noise of these views allows: no ceiling is drawn." : ""}`,
      xLabel: "spatial frequency, cycles per pixel",
      yLabel: "correlation",
      xRange: [0, 0.5],
      yRange: [Math.min(0, ...series.flatMap(({ y }) => y.map((value) => value ?? 0))), 1.02],
      above,
      series,
    }),
  ];
}

/** Curves of a correlation of halves; `colour` where they are those of one tomogram, and nothing else has a colour. */
const SHELL_CURVES = {
  fsc: { words: "halves", colour: 0 },
  fsc_masked: { words: "masked", dash: 1, faint: true, colour: 0 },
  fsc_unmasked: { words: "without mask", dash: 2, faint: true, colour: 2 },
  fsc_randomized: { words: "random phases, masked", dash: 3, faint: true, colour: 1 },
  half_bit: { words: "half bit", dash: 1, colour: 5 },
};

function shellCharts(subjects) {
  const having = subjects.filter(({ correlation }) => correlation);
  if (!having.length) return [];
  const series = [];
  for (const subject of having) {
    const { correlation, place } = subject;
    const inner = correlation.without_wedge;
    if (inner?.curves.fsc) {
      const style = { place: having.length > 1 ? place : 3, dash: having.length > 1 ? 2 : undefined };
      series.push({ name: named(having, subject, "halves, without the missing wedge"), x: inner.frequency, y: inner.curves.fsc, ...style });
    }
    for (const [key, { words, dash, faint, colour }] of Object.entries(SHELL_CURVES)) {
      if (!correlation.curves[key] || (having.length > 1 && faint)) continue;
      const style = { place: having.length > 1 ? place : colour, dash, faint };
      series.push({ name: named(having, subject, words), x: correlation.frequency, y: correlation.curves[key], ...style });
    }
  }
  const sizes = new Set(having.map(({ correlation }) => correlation.voxel_size_angstrom));
  const [size] = sizes;
  const origins = having.map((subject) => `${having.length > 1 ? `${subject.label} ` : ""}${subject.correlation.from}`).join("; ");
  const wedge = having.find(({ correlation }) => correlation.tilt_range_deg)?.correlation.tilt_range_deg;
  const both = having.some(({ correlation }) => correlation.without_wedge)
    ? " In the missing wedge stands what the method filled in: read the curve without it first."
    : "";
  const counted = wedge ? ` Only what views from ${wedge[0]}° to ${wedge[1]}° measure counts.` : "";
  const lowest = Math.min(0, ...series.flatMap(({ y }) => y.map((value) => value ?? 0)));
  return [
    drawChart({
      title: "Fourier shell correlation.",
      caption: `Two tomograms from two halves of the views, correlated by spatial frequency: ${origins}.${counted}${both} Where halves share a prior they may agree without being right.`,
      xLabel: "spatial frequency, cycles per voxel",
      yLabel: "correlation",
      xRange: [0, 0.5],
      yRange: [Math.max(-0.3, lowest), 1.02],
      levels: [
        { value: 0.5, name: "0.5" },
        { value: 0.143, name: "0.143" },
      ],
      above: size && sizes.size === 1 ? { label: "resolution", text: (value) => lengthText(size / value) } : null,
      series,
    }),
  ];
}

/** Directions of the beam through the specimen, and the wedge that none has. */
function tiltFan(subject, several) {
  const [middle, floor, radius] = [190, 170, 140];
  const point = (degrees, length) => {
    const angle = (degrees * Math.PI) / 180;
    return [middle + length * Math.sin(angle), floor - length * Math.cos(angle)];
  };
  const angles = subject.views.map(({ tilt_deg }) => tilt_deg);
  const [low, high] = [Math.min(...angles), Math.max(...angles)];
  const picture = svg("svg", {
    viewBox: "0 0 380 190",
    class: "fan",
    role: "img",
    "aria-label": `Tilt angles from ${low.toFixed(1)} to ${high.toFixed(1)} degrees`,
  });
  for (const [from, to] of [[-90, low], [high, 90]]) {
    if (to <= from) continue;
    const [[x0, y0], [x1, y1]] = [point(from, radius), point(to, radius)];
    picture.append(svg("path", { class: "wedge", d: `M${middle} ${floor}L${x0} ${y0}A${radius} ${radius} 0 0 1 ${x1} ${y1}Z` }));
  }
  for (const { tilt_deg, role } of subject.views) {
    const [x, y] = point(tilt_deg, radius);
    const style = role === "fitted" ? "series-0" : "series-1 dash-1";
    picture.append(svg("line", { class: `line ${style}`, x1: middle, y1: floor, x2: x, y2: y }));
  }
  for (const degrees of [low, 0, high]) {
    const [x, y] = point(degrees, radius + 13);
    const anchor = degrees === 0 ? "middle" : degrees < 0 ? "end" : "start";
    picture.append(svg("text", { class: "tick", x, y: y + 4, "text-anchor": anchor }, `${formatNumber(Number(degrees.toFixed(1)))}°`));
  }
  const held = subject.views.filter(({ role }) => role !== "fitted").length;
  const caption = `${subject.views.length} views, ${held} of them held out (dashed). Lines are the beam's directions through the specimen; no view has the shaded ones, the missing wedge.`;
  const title = `${several ? `${subject.label}: tilt` : "Tilt"} angles.`;
  return element("figure", { class: "chart-box" }, element("figcaption", {}, element("strong", {}, title), " ", caption), picture);
}

function doseChart(subjects) {
  const series = subjects
    .filter(({ views }) => views.some(({ dose }) => dose !== null))
    .map((subject) => ({
      name: named(subjects, subject, subject.filtered_by_dose ? "dose, which the view was filtered by" : "dose as recorded, not used"),
      x: subject.views.map(({ tilt_deg }) => tilt_deg),
      y: subject.views.map(({ dose }) => dose),
      place: subject.place,
      points: true,
    }));
  if (!series.length) return [];
  return [
    drawChart({
      title: "Dose.",
      caption: "What the specimen had taken halfway through each view.",
      xLabel: "tilt, degrees",
      yLabel: "electrons per Å²",
      series,
    }),
  ];
}

/** Views as they were fitted, with what the mask hides in colour. */
function pictureStrip(subject, several) {
  const pictures = subject.pictures.map(({ png, view, tilt_deg, masked, width, height }) => {
    const words = `View ${view} at ${tilt_deg.toFixed(1)}°, ${(100 * masked).toFixed(1)} % masked`;
    return element("figure", {}, element("img", { src: png, alt: words, width, height }), element("figcaption", {}, words));
  });
  const title = `${several ? `${subject.label}: views` : "Views"} as they were fitted.`;
  const caption = "After binning and conversion to projections: bright is dense. What the mask hides is red, and has no weight.";
  return element(
    "figure",
    { class: "chart-box wide" },
    element("figcaption", {}, element("strong", {}, title), " ", caption),
    element("div", { class: "strip" }, ...pictures),
  );
}

function viewTable(subject, several) {
  const rows = subject.views.map(({ view, tilt_deg, role, masked, dose }) => [
    String(view),
    tilt_deg.toFixed(2),
    role,
    `${(100 * masked).toFixed(1)} %`,
    formatNumber(dose),
  ]);
  return foldedTable(
    `${several ? `${subject.label}: all` : "All"} ${rows.length} views`,
    ["view, from 0", "tilt, degrees", "", "masked", "dose, e/Å²"],
    rows,
  );
}

function drawFigures({ subjects }) {
  const once = subjects.some(({ history }) => history);
  const iterated = subjects.some(({ history }) => history && history.epoch.length > 1);
  fill(
    "convergence-figures",
    iterated ? [...lossChart(subjects), ...heldOutChart(subjects)] : [],
    once ? "One pass is done, of which there is no curve: the summary has its figures." : "No history of a fit is known.",
  );
  fill("rings-figures", ringChart(subjects), "No views were held out, or their scores by ring are not known. tomokit reconstruct --hold-out 5 --state RUN.h5 makes them.");
  fill("shells-figures", shellCharts(subjects), "There are no half tomograms: tomokit fsc needs two, and a report takes them by --half1 and --half2.");
  // Tomograms of one series have the same views.
  const seen = new Set();
  const distinct = subjects.filter(({ views }) => {
    const key = JSON.stringify(views);
    const fresh = views.length > 0 && !seen.has(key);
    seen.add(key);
    return fresh;
  });
  const several = distinct.length > 1;
  const doses = doseChart(distinct);
  const charts = distinct.flatMap((subject) => [tiltFan(subject, several), ...(subject.pictures.length ? [pictureStrip(subject, several)] : [])]);
  fill("geometry-figures", [...charts, ...doses], "The tilt series was not found or not read.");
  if (distinct.length && !doses.length) byId("geometry-tables").append(element("p", { class: "caption" }, "No doses are known: the views were not filtered by dose."));
  byId("geometry-tables").append(...distinct.map((subject) => viewTable(subject, several)));
}
