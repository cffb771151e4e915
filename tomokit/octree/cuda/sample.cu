// The trilinear field of leaves on a regular lattice (tomokit/octree/sampling.py).
//
// Lattice point p of an axis lies at base + rate p, counted in the vertices of a leaf. With a, c and b the vertices
// below it along x, z and y, and w what is left on each axis,
//
//     out[x, z, y] = sum over the eight corners of prod(1 - w or w) * values[leaf, a (+ 1), c (+ 1), b (+ 1)].
//
// Each leaf fills a box of points of its own, [first, stop) along the axes, so no two blocks write the same place.
// Points on upper faces beyond which there is no leaf may belong to several; they are filled by launches of their own
// before, one box after the other, so that the order decides.
//
// Defines: N. boxes [box, (first x, z, y, stop x, z, y)], places [box, (base x, z, y, rate x, z, y)]. A block's
// threads run along y. Grid: blocks of (x, z) rows, boxes.

#define LANES 32
#define ROWS_PER_BLOCK 8

extern "C" __global__ void __launch_bounds__(LANES* ROWS_PER_BLOCK, 4) sample_boxes(
    const float* __restrict__ values, const int* __restrict__ leaf_of, const int* __restrict__ boxes,
    const double* __restrict__ places, float* __restrict__ out, int n_z, int n_y) {
    const int* box = boxes + 6 * (long long)blockIdx.y;
    const double* place = places + 6 * (long long)blockIdx.y;
    const float* block = values + (long long)leaf_of[blockIdx.y] * (N * N * N);
    const int depth = box[4] - box[1], rows = (box[3] - box[0]) * depth;
    for (int row = blockIdx.x * ROWS_PER_BLOCK + threadIdx.y; row < rows; row += gridDim.x * ROWS_PER_BLOCK) {
        const int x = box[0] + row / depth, z = box[1] + row % depth;
        // Places in double precision: in single, those a thousand vertices from the base would be off by 1e-4.
        const double at_x = place[0] + place[3] * x, at_z = place[1] + place[4] * z;
        const int a = min(max((int)at_x, 0), N - 2), c = min(max((int)at_z, 0), N - 2);
        const float wx = (float)(at_x - a), wz = (float)(at_z - c);
        const float w00 = (1.0f - wx) * (1.0f - wz), w01 = (1.0f - wx) * wz, w10 = wx * (1.0f - wz), w11 = wx * wz;
        const float* r00 = block + (a * N + c) * N;
        const float* r10 = r00 + N * N;
        for (int y = box[2] + threadIdx.x; y < box[5]; y += LANES) {
            const double at_y = place[2] + place[5] * y;
            const int b = min(max((int)at_y, 0), N - 2);
            const float below = w00 * r00[b] + w01 * r00[N + b] + w10 * r10[b] + w11 * r10[N + b];
            const float above = w00 * r00[b + 1] + w01 * r00[N + b + 1] + w10 * r10[b + 1] + w11 * r10[N + b + 1];
            out[((long long)x * n_z + z) * n_y + y] = below + (float)(at_y - b) * (above - below);
        }
    }
}
