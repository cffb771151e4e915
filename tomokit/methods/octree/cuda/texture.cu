// Mean length of the gradient in the cells of each leaf (tomokit/methods/octree/texture.py): by spacings of the leaf,
//
//     mean(p, q, r) = mean of |(d(i + 1, k, j) - d, d(i, k + 1, j) - d, d(i, k, j + 1) - d)|
//
// over the vertices of a cell, those with i CELLS / (N - 1), rounded down, equal to p, and k and j likewise. A cell is
// one thread's, which adds row by row and plane by plane: always in the same order, and in short sums.
//
// Arrays: density [leaf, x, z, y]; means [leaf, p, q, r] along the same axes. Defines: N, NODES, at least 2.

#define THREADS 256
#define CELLS (NODES - 1)

#include "gpu/fast_math.cuh"

// The first vertex of a cell along an axis.
__device__ inline int first_of(int cell) { return (cell * (N - 1) + CELLS - 1) / CELLS; }

// Grid: leaves, cells of a leaf.
extern "C" __global__ void __launch_bounds__(THREADS, 4) mean_gradients(
    const float* __restrict__ density, float* __restrict__ means) {
    const int cell = blockIdx.y * THREADS + threadIdx.x, p = cell / (CELLS * CELLS), q = cell / CELLS % CELLS;
    if (p >= CELLS) return;
    const float* block = density + (long long)blockIdx.x * (N * N * N);
    const int r = cell % CELLS, first_k = first_of(q), end_k = first_of(q + 1), first_j = first_of(r);
    const int end_j = first_of(r + 1), first_i = first_of(p), end_i = first_of(p + 1);
    float sum = 0.0f;
    for (int i = first_i; i < end_i; ++i) {
        float of_plane = 0.0f;
        for (int k = first_k; k < end_k; ++k) {
            float of_row = 0.0f;
            for (int j = first_j; j < end_j; ++j) {
                const float* at = block + (i * N + k) * N + j;
                const float here = *at, x = at[N * N] - here, z = at[N] - here, y = at[1] - here;
                of_row += root_of(x * x + z * z + y * y);
            }
            of_plane += of_row;
        }
        sum += of_plane;
    }
    const int vertices = (end_i - first_i) * (end_k - first_k) * (end_j - first_j);
    means[(long long)blockIdx.x * (CELLS * CELLS * CELLS) + cell] = sum / (float)vertices;
}
