/* The three planes, the place that all tomograms share, and slices drawn in grey. */

/** Each plane by the axes that run to the right, upward, and across it. */
const PLANES = {
  xy: { name: "xy", right: "x", up: "y", across: "z" },
  yz: { name: "yz", right: "z", up: "y", across: "x" },
  xz: { name: "xz", right: "x", up: "z", across: "y" },
};
const AXES = ["x", "y", "z"];

/**
 * The place that is shown: a voxel of a reference along each axis, the tomogram that reaches furthest there.
 *
 * Tomograms are linked by length from their middles where all voxel sizes are known, otherwise by the share of their
 * extents.
 */
class Place {
  constructor(volumes, linked) {
    this.byLength = linked === "length";
    this.reference = {};
    for (const axis of AXES) {
      const extent = (volume) => volume.size[axis] * (this.byLength ? volume.voxel : 1);
      this.reference[axis] = volumes.reduce((best, volume) => (extent(volume) > extent(best) ? volume : best));
    }
    this.at = {};
    this.centre();
  }

  centre() {
    for (const axis of AXES) this.at[axis] = Math.floor(this.count(axis) / 2);
  }

  /** Voxels of the reference along an axis. */
  count(axis) {
    return this.reference[axis].size[axis];
  }

  move(axis, index) {
    this.at[axis] = Math.max(0, Math.min(this.count(axis) - 1, Math.round(index)));
  }

  /** The voxel of a volume at this place; null where the volume does not reach. */
  indexIn(volume, axis) {
    const index = Math.floor(this.coordinateIn(volume, axis));
    return index >= 0 && index < volume.size[axis] ? index : null;
  }

  /** The same as a coordinate, 0 at the outer face of the first voxel. */
  coordinateIn(volume, axis) {
    const reference = this.reference[axis];
    if (volume === reference) return this.at[axis] + 0.5;
    if (!this.byLength) return ((this.at[axis] + 0.5) / reference.size[axis]) * volume.size[axis];
    const offset = (this.at[axis] + 0.5 - reference.size[axis] / 2) * reference.voxel;
    return offset / volume.voxel + volume.size[axis] / 2;
  }

  /** Move to a coordinate of a volume. */
  moveTo(volume, axis, coordinate) {
    const reference = this.reference[axis];
    let target = coordinate;
    if (volume !== reference) {
      target = this.byLength
        ? ((coordinate - volume.size[axis] / 2) * volume.voxel) / reference.voxel + reference.size[axis] / 2
        : (coordinate / volume.size[axis]) * reference.size[axis];
    }
    this.move(axis, Math.floor(target));
  }

  /** Where that is, for a reader. */
  text(axis) {
    const reference = this.reference[axis];
    const index = `${this.at[axis] * reference.bin + 1} of ${reference.size[axis] * reference.bin}`;
    if (!reference.known) return index;
    const offset = (this.at[axis] + 0.5 - reference.size[axis] / 2) * reference.voxel;
    return `${index}, ${offset > 0 ? "+" : ""}${lengthText(offset)}`;
  }
}

/** A length in ångström for a reader: nanometres from 10 nm on. */
function lengthText(angstrom) {
  const nanometres = Math.abs(angstrom) / 10;
  const text = nanometres >= 100 ? nanometres.toFixed(0) : nanometres >= 10 ? nanometres.toFixed(1) : nanometres.toFixed(2);
  return `${angstrom < 0 ? "−" : ""}${text} nm`;
}

/** An image of a slice in grey: levels up to `black` are black, from `white` on white. */
function greyImage(slice, black, white, inverted) {
  const image = new ImageData(slice.width, slice.height);
  const scale = 255 / Math.max(white - black, 1e-6);
  for (let i = 0, at = 0; i < slice.values.length; i++, at += 4) {
    let grey = (slice.values[i] - black) * scale;
    grey = grey < 0 ? 0 : grey > 255 ? 255 : grey;
    if (inverted) grey = 255 - grey;
    image.data[at] = image.data[at + 1] = image.data[at + 2] = grey;
    image.data[at + 3] = 255;
  }
  return image;
}

/** Colours of a map from low to high, which can be told apart without colour vision too: by lightness. */
const MAP_COLOURS = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [253, 231, 37],
];

function mapColour(share) {
  const place = Math.max(0, Math.min(1, share)) * (MAP_COLOURS.length - 1);
  const low = Math.min(Math.floor(place), MAP_COLOURS.length - 2);
  return MAP_COLOURS[low].map((value, i) => value + (place - low) * (MAP_COLOURS[low + 1][i] - value));
}

/** An image of a slice of a map, in colour. */
function colourImage(slice, steps) {
  const image = new ImageData(slice.width, slice.height);
  const table = Array.from({ length: 256 }, (_, level) => mapColour(level / Math.max(steps - 1, 1)));
  for (let i = 0, at = 0; i < slice.values.length; i++, at += 4) {
    image.data.set(table[Math.round(slice.values[i])], at);
    image.data[at + 3] = 255;
  }
  return image;
}
