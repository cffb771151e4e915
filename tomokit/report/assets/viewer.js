/* The viewer: tomograms beside each other, with one place, contrast for each, and what is drawn over them. */

const byId = (id) => document.getElementById(id);

/** An element with attributes, text and children. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** One tomogram: its planes and its contrast. */
class Panel {
  constructor(subject, place, changed) {
    Object.assign(this, { subject, place, changed, volume: subject.volume, trust: subject.trust });
    this.window = [...this.volume.window];
    this.canvases = {};
    this.scratch = document.createElement("canvas");
    this.counts = histogram(this.volume);
    this.node = this.build();
  }

  build() {
    const { subject, volume } = this;
    const planes = element("div", { class: "planes" });
    planes.style.gridTemplateColumns = `minmax(0, ${volume.size.x}fr) minmax(0, ${volume.size.z}fr)`;
    for (const plane of Object.values(PLANES)) {
      const canvas = element("canvas", {
        class: `plane ${plane.name}`,
        tabindex: "0",
        role: "img",
        "aria-label": `Slice ${plane.name} of ${subject.label}`,
        "data-plane": plane.name,
        "data-subject": subject.label,
      });
      canvas.style.aspectRatio = `${volume.size[plane.right]} / ${volume.size[plane.up]}`;
      this.canvases[plane.name] = canvas;
      planes.append(canvas);
      this.listen(canvas, plane);
    }
    this.graph = element("canvas", { class: "histogram", role: "img", "aria-label": "How often each level occurs" });
    this.readout = element("output", { class: "readout" });
    this.inputs = ["Black", "White"].map((name, i) => {
      const id = `${name.toLowerCase()}-${subject.label}`;
      const input = element("input", { type: "range", id, min: "0", max: String(volume.steps - 1), step: "1" });
      input.addEventListener("input", () => this.changed("contrast", this, i, Number(input.value)));
      return { label: element("label", { for: id }, name), input };
    });
    const contrast = element(
      "div",
      { class: "contrast" },
      this.graph,
      ...this.inputs.flatMap(({ label, input }) => [element("div", { class: "slider" }, label, input)]),
    );
    const badge = element("span", { class: `badge series-${subject.place}` }, subject.label);
    return element(
      "figure",
      { class: "panel", id: `panel-${subject.label}` },
      element("figcaption", {}, badge, " ", subject.name, element("small", {}, this.description())),
      planes,
      this.readout,
      contrast,
    );
  }

  /** How the volume is shown, in a sentence. */
  description() {
    const { volume } = this;
    const size = AXES.map((axis) => volume.size[axis]).join(" × ");
    const binned = volume.bin > 1 ? `, means over ${volume.bin}³ voxels` : "";
    return `${size}${binned}, ${volume.steps} grey levels`;
  }

  listen(canvas, plane) {
    const go = (event) => {
      const box = canvas.getBoundingClientRect();
      const right = ((event.clientX - box.left) / box.width) * this.volume.size[plane.right];
      const up = (1 - (event.clientY - box.top) / box.height) * this.volume.size[plane.up];
      this.place.moveTo(this.volume, plane.right, right);
      this.place.moveTo(this.volume, plane.up, up);
      this.changed("place");
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.focus();
      canvas.setPointerCapture(event.pointerId);
      go(event);
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) go(event);
    });
  }

  /** Where a level lies between the black and the white that the volume has at first: what linked tomograms share. */
  shareOf(level) {
    const [black, white] = this.volume.window;
    return (level - black) / (white - black);
  }

  /** Set black (0) or white (1), leaving at least one level between them. */
  setWindow(end, share) {
    const last = this.volume.steps - 1;
    const level = Math.round(this.volume.window[0] + share * (this.volume.window[1] - this.volume.window[0]));
    const [black, white] = this.window;
    this.window = end === 0 ? [Math.min(level, white - 1), white] : [black, Math.max(level, black + 1)];
    this.window = [Math.max(0, this.window[0]), Math.min(last, this.window[1])];
  }

  resetWindow() {
    this.window = [...this.volume.window];
  }

  draw(options) {
    for (const plane of Object.values(PLANES)) this.drawPlane(plane, options);
    this.inputs.forEach(({ input }, i) => {
      input.value = String(this.window[i]);
      input.setAttribute("aria-valuetext", formatNumber(densityOf(this.volume, this.window[i])));
    });
    this.drawHistogram();
    this.tell();
  }

  drawPlane(plane, options) {
    const canvas = this.canvases[plane.name];
    const unit = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * unit);
    const height = Math.round(canvas.clientHeight * unit);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    const { volume } = this;
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    const pen = new Pen(context, volume, plane, width / volume.size[plane.right]);
    const index = this.place.indexIn(volume, plane.across);
    if (index === null) {
      pen.text("beyond this tomogram", 12 * unit, height / 2, "#ffffff");
      return;
    }
    this.drawImage(context, greyImage(cut(volume, plane, index, options.slab), ...this.window, options.inverted));
    if (this.trust && options.trust) {
      context.globalAlpha = options.opacity;
      this.drawImage(context, colourImage(cut(this.trust, plane, index, 1), this.trust.steps));
      context.globalAlpha = 1;
    }
    const at = this.place.coordinateIn(volume, plane.across);
    if (options.octree && this.subject.leaves) drawLeaves(pen, this.subject.leaves, at);
    if (options.regions) drawRegions(pen, this.subject.regions, at);
    const [right, up] = [plane.right, plane.up].map((axis) => this.place.coordinateIn(volume, axis));
    if (options.cross) drawCross(pen, right, up);
    if (plane.name === "xy") drawScaleBar(pen);
    drawName(pen);
  }

  drawImage(context, image) {
    const { scratch } = this;
    Object.assign(scratch, { width: image.width, height: image.height });
    scratch.getContext("2d").putImageData(image, 0, 0);
    const { width, height } = context.canvas;
    // Voxels are seen as what they are where they are large.
    context.imageSmoothingEnabled = width < 3 * image.width;
    context.imageSmoothingQuality = "high";
    context.drawImage(scratch, 0, 0, width, height);
  }

  drawHistogram() {
    const { graph, counts } = this;
    const unit = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(graph.clientWidth * unit), Math.round(graph.clientHeight * unit)];
    if (!width || !height) return;
    Object.assign(graph, { width, height });
    const context = graph.getContext("2d");
    const colours = getComputedStyle(graph);
    const most = Math.max(...counts.slice(1, -1), 1);
    const step = width / counts.length;
    context.fillStyle = colours.getPropertyValue("--quiet");
    counts.forEach((count, level) => {
      const tall = Math.min(1, Math.sqrt(count / most)) * height;
      context.fillRect(level * step, height - tall, Math.ceil(step), tall);
    });
    context.fillStyle = colours.getPropertyValue("--accent");
    for (const level of this.window) context.fillRect((level + 0.5) * step - unit, 0, 2 * unit, height);
  }

  /** The density at the cross, and what is black and white. */
  tell() {
    const { volume, place } = this;
    const [x, y, z] = AXES.map((axis) => place.indexIn(volume, axis));
    const inside = x !== null && y !== null && z !== null;
    const level = inside ? volume.levels[(z * volume.size.y + y) * volume.size.x + x] : null;
    const [black, white] = this.window.map((end) => formatNumber(densityOf(volume, end)));
    const here = inside ? formatNumber(densityOf(volume, level)) : "outside";
    const map = inside && this.trust
      ? `; map there ${formatNumber(densityOf(this.trust, this.trust.levels[(z * volume.size.y + y) * volume.size.x + x]))}`
      : "";
    const units = volume.units ? ` (${volume.units})` : "";
    this.readout.textContent = `Density at the cross ${here}${map}; black ${black}, white ${white}${units}`;
  }
}

/** A number with three digits that tell. */
function formatNumber(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e5)) return value.toExponential(2).replace("-", "−");
  return String(Number(value.toPrecision(4))).replace("-", "−");
}
