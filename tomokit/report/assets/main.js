/* Starts the page: theme, viewer with its controls and keys, figures. */

/** Let the reader choose between light and dark; without a choice it is as the system has it. */
function startTheme(redraw) {
  const select = byId("theme");
  select.addEventListener("change", () => {
    if (select.value === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = select.value;
    redraw();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/** The controls of the viewer, and its keys. */
class Controls {
  constructor(panels, place) {
    Object.assign(this, { panels, place, waiting: false });
    const has = (test) => panels.some(({ subject }) => test(subject));
    byId("link-label").hidden = panels.length < 2;
    byId("octree-label").hidden = !has((subject) => subject.leaves);
    byId("regions-label").hidden = !has((subject) => subject.regions.length);
    byId("trust-label").hidden = !has((subject) => subject.trust);
    for (const axis of AXES) {
      const slider = byId(`position-${axis}`);
      slider.max = String(place.count(axis) - 1);
      slider.addEventListener("input", () => {
        place.move(axis, Number(slider.value));
        this.redraw();
      });
    }
    for (const id of ["slab", "invert", "show-cross", "show-octree", "show-regions", "show-trust", "trust-opacity"]) {
      byId(id).addEventListener("input", () => this.redraw());
    }
    byId("controls").addEventListener("submit", (event) => event.preventDefault());
    byId("centre").addEventListener("click", () => this.centre());
    byId("reset-contrast").addEventListener("click", () => this.resetContrast());
    byId("viewer").addEventListener("keydown", (event) => this.press(event));
    this.drawMapScale();
    this.drawOctreeKey();
  }

  /** Which colour leaves of which size have. */
  drawOctreeKey() {
    const octrees = this.panels.map(({ subject }) => subject.leaves).filter((leaves) => leaves);
    const edges = new Set(octrees.map(({ edge_px }) => edge_px));
    const most = Math.max(0, ...octrees.map(({ counts }) => counts.length));
    for (let level = 0; level < most; level++) {
      const count = octrees.reduce((sum, { counts }) => sum + (counts[level] ?? 0), 0);
      if (!count) continue;
      const sample = element("canvas", { width: "24", height: "12", "aria-hidden": "true" });
      const context = sample.getContext("2d");
      context.fillStyle = "#222";
      context.fillRect(0, 0, 24, 12);
      context.strokeStyle = levelColour(level);
      context.lineWidth = 3;
      context.strokeRect(3, 2, 18, 8);
      const words = edges.size === 1 ? `leaves of ${formatNumber(octrees[0].edge_px / 2 ** level)} voxels` : `level ${level}`;
      byId("octree-key").append(element("li", {}, sample, words));
    }
  }

  drawMapScale() {
    const mapped = this.panels.find(({ trust }) => trust);
    if (!mapped) return;
    const canvas = byId("trust-scale");
    const context = canvas.getContext("2d");
    for (let x = 0; x < canvas.width; x++) {
      context.fillStyle = `rgb(${mapColour(x / (canvas.width - 1)).map(Math.round).join(",")})`;
      context.fillRect(x, 0, 1, canvas.height);
    }
    byId("trust-low").textContent = formatNumber(mapped.trust.low);
    byId("trust-high").textContent = formatNumber(mapped.trust.high);
  }

  options() {
    return {
      slab: Number(byId("slab").value),
      inverted: byId("invert").checked,
      cross: byId("show-cross").checked,
      octree: byId("show-octree").checked,
      regions: byId("show-regions").checked,
      trust: byId("show-trust").checked,
      opacity: Number(byId("trust-opacity").value) / 100,
    };
  }

  /** Draw all once before the next frame, however many changes there are until then. */
  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const options = this.options();
      byId("trust-controls").hidden = !options.trust;
      byId("octree-key").hidden = !options.octree;
      for (const axis of AXES) {
        byId(`position-${axis}`).value = String(this.place.at[axis]);
        byId(`position-${axis}`).setAttribute("aria-valuetext", this.place.text(axis));
        byId(`place-${axis}`).textContent = this.place.text(axis);
      }
      for (const panel of this.panels) panel.draw(options);
    });
  }

  /** What a panel tells: its place or its contrast has changed. */
  changed(what, panel, end, level) {
    if (what === "contrast") {
      const share = panel.shareOf(level);
      const linked = byId("link-contrast").checked ? this.panels : [panel];
      for (const other of linked) other.setWindow(end, share);
    }
    this.redraw();
  }

  centre() {
    this.place.centre();
    this.redraw();
  }

  resetContrast() {
    for (const panel of this.panels) panel.resetWindow();
    this.redraw();
  }

  press(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const toggles = { o: "show-octree", c: "show-cross", g: "show-regions", t: "show-trust", i: "invert" };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    // In a list letters choose an entry, and so they do not mean anything else there.
    if (event.target.tagName !== "SELECT" && key in toggles) {
      const box = byId(toggles[key]);
      if (!box.closest("label").hidden) box.checked = !box.checked;
    } else if (event.target.tagName !== "SELECT" && key === "r") {
      this.resetContrast();
    } else if (event.target.dataset.plane) {
      if (!this.step(PLANES[event.target.dataset.plane], key, event.shiftKey ? 10 : 1)) return;
    } else {
      return;
    }
    event.preventDefault();
    this.redraw();
  }

  /** Keys of a plane that has the focus; whether it was one. */
  step(plane, key, by) {
    const moves = {
      ArrowRight: [plane.right, by], ArrowLeft: [plane.right, -by], ArrowUp: [plane.up, by], ArrowDown: [plane.up, -by],
      PageUp: [plane.across, by], PageDown: [plane.across, -by],
    };
    if (key === "Home") this.place.centre();
    else if (key in moves) this.place.move(moves[key][0], this.place.at[moves[key][0]] + moves[key][1]);
    else return false;
    return true;
  }
}

/** Unpack the volumes, and show the viewer. */
async function startViewer(data) {
  const status = byId("viewer-status");
  const shown = data.subjects.filter((subject) => subject.volume);
  if (!shown.length) {
    status.textContent = "There is no tomogram that could be shown; the summary says why.";
    return null;
  }
  for (const subject of shown) {
    status.textContent = `Unpacking ${subject.name}…`;
    subject.volume = await readVolume(subject.volume);
    if (subject.trust) subject.trust = await readVolume(subject.trust);
  }
  const place = new Place(shown.map((subject) => subject.volume), data.linked);
  let controls = null;
  const panels = shown.map((subject) => new Panel(subject, place, (...told) => controls.changed(...told)));
  byId("stage").append(...panels.map((panel) => panel.node));
  byId("stage").dataset.count = String(panels.length);
  controls = new Controls(panels, place);
  byId("viewer").hidden = false;
  status.textContent = "";
  status.hidden = true;
  new ResizeObserver(() => controls.redraw()).observe(byId("stage"));
  controls.redraw();
  return controls;
}

/** Hide the rows of the settings in which all tomograms agree. */
function startDifferences() {
  const box = byId("only-differences");
  const update = () => byId("settings").classList.toggle("differences", box.checked);
  box?.addEventListener("input", update);
  if (box) update();
}

async function start() {
  const data = JSON.parse(byId("report-data").textContent);
  data.subjects.forEach((subject, place) => Object.assign(subject, { place }));
  let controls = null;
  startTheme(() => controls?.redraw());
  startDifferences();
  drawFigures(data);
  // What is folded away is printed too.
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
  try {
    controls = await startViewer(data);
  } catch (error) {
    byId("viewer-status").textContent = `The volumes cannot be shown (${error.message}): this needs a browser of 2023 or later.`;
  }
  document.documentElement.dataset.ready = "yes";
}

start();
