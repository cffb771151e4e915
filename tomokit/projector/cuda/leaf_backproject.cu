// Back-projection of some views to all vertices, for what needs it whole: factor [leaf] g by leaf_gather.cuh, in the
// place of what is there or, where `adds` is not 0, added to it.
//
// A block owns PASSES COLUMNS vertex columns of one leaf; a value is written by one thread.
//
// Defines: N, KNOTS, PAD (footprint.cuh); COLUMNS; PASSES. A block is N x COLUMNS threads.

#include "projector/cuda/footprint.cuh"
#include "projector/cuda/leaf_gather.cuh"

// contracted [slab, view, PAD + u + PAD, j]; values [leaf, i, k, j]. Grid: blocks of columns, leaves.
extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) leaf_backproject(
    float* __restrict__ values, const float* __restrict__ factor, const int* __restrict__ slab_of,
    const double* __restrict__ corner, const int* __restrict__ levels, const double* __restrict__ spacing,
    const double* __restrict__ views, const double* __restrict__ half_widths, const int* __restrict__ tap_count,
    const float* __restrict__ tables, const int* __restrict__ chosen, const float* __restrict__ contracted,
    int n_chosen, int n_levels, int n_u, int adds) {
    __shared__ float gathered[SPAN][N];
    const int leaf = blockIdx.y, j = threadIdx.x, begin = blockIdx.x * SPAN, columns = min(SPAN, N * N - begin);
    gather_columns(
        gathered, leaf, begin, columns, slab_of, corner, levels, spacing, views, half_widths, tap_count, tables, chosen,
        contracted, n_chosen, n_levels, n_u);
    float* block = values + (long long)leaf * (N * N * N);
    const float times = factor[leaf];
    for (int own = threadIdx.y; own < columns; own += COLUMNS) {
        const int at = (begin + own) * N + j;
        const float value = times * gathered[own][j];
        block[at] = adds ? block[at] + value : value;
    }
}
