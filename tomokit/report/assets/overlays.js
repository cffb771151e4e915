/* What is drawn over a slice: leaves of the octree, regions, the cross, a scale bar, the plane's name. */

/** Colours of the octree's levels, from coarse to fine. */
const LEVEL_COLOURS = ["#4cc9f0", "#80ed99", "#ffd166", "#ff8fa3", "#c77dff", "#ffffff"];

function levelColour(level) {
  return LEVEL_COLOURS[Math.min(level, LEVEL_COLOURS.length - 1)];
}

const REGION_COLOURS = ["#ffb703", "#8ecae6", "#f28482", "#90be6d", "#cdb4db", "#f9c74f"];

/** A pen for one plane of one volume: coordinates in voxels of the tomogram as drawn, y upward. */
class Pen {
  constructor(context, volume, plane, scale) {
    Object.assign(this, { context, volume, plane, scale });
    this.height = volume.size[plane.up];
    // One pixel of the page, however many the screen has for it.
    this.unit = window.devicePixelRatio || 1;
  }

  right(coordinate) {
    return coordinate * this.scale;
  }

  up(coordinate) {
    return (this.height - coordinate) * this.scale;
  }

  rectangle(left, low, right, high, colour, width = 1) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = width * this.unit;
    context.strokeRect(this.right(left), this.up(high), this.right(right) - this.right(left), this.up(low) - this.up(high));
  }

  text(words, x, y, colour, align = "left") {
    const { context, unit } = this;
    context.font = `${12 * unit}px system-ui, sans-serif`;
    context.textAlign = align;
    context.textBaseline = "alphabetic";
    context.lineWidth = 3 * unit;
    context.lineJoin = "round";
    context.strokeStyle = "rgba(0, 0, 0, 0.75)";
    context.strokeText(words, x, y);
    context.fillStyle = colour;
    context.fillText(words, x, y);
  }
}

/** Where a line at `at` along axis `across` (0: rows, 1: sections) meets a four-sided outline: two bounds, or null. */
function crossing(corners, across, at) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < 4; i++) {
    const from = [corners[2 * i], corners[2 * i + 1]];
    const to = [corners[(2 * i + 2) % 8], corners[(2 * i + 3) % 8]];
    const [a, b] = [from[across], to[across]];
    if ((a > at) === (b > at)) continue;
    const other = from[1 - across] + ((at - a) / (b - a)) * (to[1 - across] - from[1 - across]);
    low = Math.min(low, other);
    high = Math.max(high, other);
  }
  return low < high ? [low, high] : null;
}

/** Outlines of the leaves that a plane cuts; `at` is the plane's coordinate in voxels of the tomogram as drawn. */
function drawLeaves(pen, leaves, at) {
  const { context, plane, volume } = pen;
  const share = 1 / volume.bin;
  const place = at / share;
  context.globalAlpha = 0.8;
  for (const [level, left, right, ...corners] of leaves.leaves) {
    const colour = levelColour(level);
    if (plane.name === "yz") {
      if (place < left || place >= right) continue;
      context.strokeStyle = colour;
      context.lineWidth = pen.unit;
      context.beginPath();
      for (let i = 0; i < 4; i++) context.lineTo(pen.right(corners[2 * i + 1] * share), pen.up(corners[2 * i] * share));
      context.closePath();
      context.stroke();
      continue;
    }
    const bounds = crossing(corners, plane.name === "xy" ? 1 : 0, place);
    if (bounds) pen.rectangle(left * share, bounds[0] * share, right * share, bounds[1] * share, colour);
  }
  context.globalAlpha = 1;
}

/** Regions that a plane cuts, with their names. */
function drawRegions(pen, regions, at) {
  const { plane, volume } = pen;
  const place = { z: 0, y: 1, x: 2 };
  regions.forEach((region, i) => {
    const bound = (ends, axis) => ends[place[axis]] / volume.bin;
    if (at < bound(region.start, plane.across) || at > bound(region.stop, plane.across)) return;
    const colour = REGION_COLOURS[i % REGION_COLOURS.length];
    const [left, low] = [bound(region.start, plane.right), bound(region.start, plane.up)];
    const high = bound(region.stop, plane.up);
    pen.rectangle(left, low, bound(region.stop, plane.right), high, colour, 2);
    pen.text(region.name, pen.right(left), pen.up(high) - 4 * pen.unit, colour);
  });
}

function drawCross(pen, right, up) {
  const { context } = pen;
  const { width, height } = context.canvas;
  context.strokeStyle = "rgba(255, 214, 10, 0.75)";
  context.lineWidth = pen.unit;
  const gap = 10 * pen.unit;
  const [x, y] = [pen.right(right), pen.up(up)];
  context.beginPath();
  // Open in the middle, where one wants to see something.
  for (const [x0, y0, x1, y1] of [
    [0, y, x - gap, y],
    [x + gap, y, width, y],
    [x, 0, x, y - gap],
    [x, y + gap, x, height],
  ]) {
    context.moveTo(x0, y0);
    context.lineTo(x1, y1);
  }
  context.stroke();
}

/** A bar of a round length, about a quarter of the plane's width. */
function drawScaleBar(pen) {
  const { context, volume } = pen;
  const wanted = 0.25 * volume.size[pen.plane.right] * (volume.known ? volume.voxel : volume.bin);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const length = power * [5, 2, 1].find((digit) => digit * power <= wanted);
  const voxels = volume.known ? length / volume.voxel : length / volume.bin;
  const { unit } = pen;
  const [x, y] = [12 * unit, context.canvas.height - 14 * unit];
  context.fillStyle = "rgba(0, 0, 0, 0.75)";
  context.fillRect(x - unit, y - unit, voxels * pen.scale + 2 * unit, 6 * unit);
  context.fillStyle = "#ffffff";
  context.fillRect(x, y, voxels * pen.scale, 4 * unit);
  const words = !volume.known ? `${length} voxels` : length >= 10 ? `${length / 10} nm` : `${length} Å`;
  pen.text(words, x, y - 6 * unit, "#ffffff");
}

/** The plane's name, where the slice is not too small for it. */
function drawName(pen) {
  if (pen.context.canvas.width > 40 * pen.unit && pen.context.canvas.height > 30 * pen.unit) {
    pen.text(pen.plane.name, 8 * pen.unit, 18 * pen.unit, "#ffffff");
  }
}
