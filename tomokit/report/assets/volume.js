/* Volumes in grey levels: unpacked from the page, predicted values added back, and cut into slices. */

/** Bytes of a base64 text, decoded in pieces so that no string is held twice. */
function fromBase64(text) {
  const trimmed = text.trim();
  const padding = trimmed.endsWith("==") ? 2 : trimmed.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((trimmed.length / 4) * 3 - padding);
  const piece = 1 << 20; // a multiple of 4
  let at = 0;
  for (let start = 0; start < trimmed.length; start += piece) {
    const part = atob(trimmed.slice(start, start + piece));
    for (let i = 0; i < part.length; i++) bytes[at++] = part.charCodeAt(i);
  }
  return bytes;
}

/** Inflate a zlib stream into an array whose length is known. */
async function inflate(bytes, length) {
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate")).getReader();
  const out = new Uint8Array(length);
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    out.set(value, at);
    at += value.length;
  }
  if (at !== length) throw new Error(`a volume of ${at} voxels in place of ${length}`);
  return out;
}

/** Add the predictions back: a third of the levels before each along x, y and z, rounded down. */
function restore(levels, [nz, ny, nx]) {
  const section = nx * ny;
  for (let z = 0, at = 0; z < nz; z++) {
    for (let y = 0; y < ny; y++) {
      for (let x = 0; x < nx; x++, at++) {
        const known = (x ? levels[at - 1] : 0) + (y ? levels[at - nx] : 0) + (z ? levels[at - section] : 0);
        levels[at] += (known / 3) | 0; // modulo 256, as the array has bytes
      }
    }
  }
  return levels;
}

/** Read a volume that the page holds; `description` is what the page's data say of it. */
async function readVolume(description) {
  const element = document.getElementById(description.stream);
  const [nz, ny, nx] = description.shape;
  const bytes = fromBase64(element.textContent);
  element.remove(); // not needed twice
  const levels = restore(await inflate(bytes, nz * ny * nx), description.shape);
  return { ...description, steps: description.levels, levels, size: { x: nx, y: ny, z: nz } };
}

/**
 * Cut a slice, or the mean of several, out of a volume: levels in rows from the top.
 *
 * `plane` is one of PLANES; `index` counts along the axis across it.
 */
function cut(volume, plane, index, slab) {
  const { levels, size } = volume;
  const step = { x: 1, y: size.x, z: size.x * size.y };
  const width = size[plane.right];
  const height = size[plane.up];
  const half = (slab - 1) / 2;
  const first = Math.max(0, index - half);
  const last = Math.min(size[plane.across] - 1, index + half);
  const sums = new Float32Array(width * height);
  for (let i = first; i <= last; i++) {
    for (let row = 0, at = 0; row < height; row++) {
      let from = i * step[plane.across] + (height - 1 - row) * step[plane.up];
      for (let column = 0; column < width; column++, from += step[plane.right]) sums[at++] += levels[from];
    }
  }
  const count = last - first + 1;
  if (count > 1) for (let at = 0; at < sums.length; at++) sums[at] /= count;
  return { values: sums, width, height };
}

/** How many voxels have each level, from some of the sections. */
function histogram(volume) {
  const counts = new Array(volume.steps).fill(0);
  const section = volume.size.x * volume.size.y;
  const every = Math.max(1, Math.floor(volume.size.z / 16));
  for (let z = 0; z < volume.size.z; z += every) {
    for (let at = z * section; at < (z + 1) * section; at++) counts[volume.levels[at]]++;
  }
  return counts;
}

/** The density in the middle of a level. */
function densityOf(volume, level) {
  return volume.low + ((level + 0.5) / volume.steps) * (volume.high - volume.low);
}
