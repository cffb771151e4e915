// The gradient of total variation or boundary consistency as an array of its own, where they act on raw values: the
// fused pass (leaf_update.cu) changes these in place, so that nobody may read a neighbour's there.
//
//     gradient[v] (+)= tv_step[leaf] dTV/dv + gradient by the leaf's sides at v
//
// Indices: i, k and j run over x, z and y; a column is a pair (i, k), along which a block's threads lie.
//
// Defines: N; COLUMNS; PASSES. A block is N x COLUMNS threads and owns PASSES times as many columns of a leaf.

#include "gpu/fast_math.cuh"
#include "regularizers/cuda/variation.cuh"
#include "regularizers/cuda/sides.cuh"

// Without tv_step only the sides' gradient is added, without side_gradient only the total variation's. Grid: blocks of
// columns, leaves. variation_of as in leaf_update.
extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) local_penalty(
    const float* __restrict__ field, const float* __restrict__ tv_step, const float* __restrict__ side_gradient,
    float* __restrict__ gradient, float* __restrict__ variation_of, int tv_variant, float tv_delta, int tv_stencil,
    int add) {
    __shared__ float variations[COLUMNS][N];
    const int leaf = blockIdx.y, j = threadIdx.x, thread = threadIdx.y * N + threadIdx.x;
    const int begin = blockIdx.x * (COLUMNS * PASSES), end = min(begin + COLUMNS * PASSES, N * N);
    const long long first = (long long)leaf * (N * N * N);
    const Measure measure = measure_of(tv_variant, tv_delta, tv_stencil);
    float variation = 0.0f;
    for (int column = begin + threadIdx.y; column < end; column += COLUMNS) {
        const int i = column / N, k = column % N;
        const long long at = first + column * N + j;
        float g = add ? gradient[at] : 0.0f;
        if (tv_step != nullptr) {
            const Variation tv = variation_at(field + first, i, k, j, measure);
            variation += tv.value;
            g += tv_step[leaf] * tv.slope;
        }
        if (side_gradient != nullptr) g += side_gradient_at(side_gradient + (long long)leaf * 6 * N * N, i, k, j);
        gradient[at] = g;
    }
    if (tv_step == nullptr) return;
    // One thread adds what the block has, always in the same order.
    variations[threadIdx.y][j] = variation;
    __syncthreads();
    if (thread == 0) {
        float sum = 0.0f;
        for (int own = 0; own < COLUMNS; ++own) {
            for (int other = 0; other < N; ++other) sum += variations[own][other];
        }
        variation_of[(long long)leaf * gridDim.x + blockIdx.x] = tv_step[leaf] * sum;
    }
}
