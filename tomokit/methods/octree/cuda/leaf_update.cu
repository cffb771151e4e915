// The backward pass: every vertex is taken through the whole step by one thread.
//
// With B the contracted residual, which carries the data term's factor (leaf_rows.cu), and the weights w,
//
//     g = sum_t sum_tap w_t(tap; i, k) B[slab, t, u0(i, k) + tap, j]                      data, leaf_gather.cuh
//       + tv_step[leaf] dTV/drho                                                          variation.cuh, by density
//       + gradient by the leaf's sides                                                    boundary.cu
//       + scale (sign(e) e'(rho) / P + G(rho))                          cross-node constraint, pair_slope.cuh
//       + what regularizers of plugins have left, by density
//     g <- g s'(v)  + the same of penalties on raw values                                 activation.cuh
//     v <- optimizer(v, g),  rho <- s(v)                                                  optimizer.cuh
//
// Neighbours read the old densities while others write new ones, so density goes from one array to another, and the
// two change places after each step; v and what the optimizer remembers are nobody else's and change in place.
// Nothing is added to by two threads.
//
// A block owns PASSES COLUMNS vertex columns of one leaf, and takes COLUMNS of them at a time; its threads run along j.
// What a vertex has gathered of the data waits in shared memory.
//
// Indices: i, k and j run over x, z and y of a leaf's vertices, a column is a pair (i, k) and `own` its number in the
// block.
//
// Defines: N, KNOTS, PAD (footprint.cuh); COLUMNS; PASSES. A block is N x COLUMNS threads.

#include "gpu/fast_math.cuh"
#include "projector/cuda/footprint.cuh"
#include "projector/cuda/leaf_gather.cuh"
#include "activation/activation.cuh"
#include "optimizers/optimizer.cuh"
#include "regularizers/cuda/variation.cuh"
#include "regularizers/cuda/sides.cuh"
#include "regularizers/cuda/pair_slope.cuh"

// contracted [slab, view, PAD + u + PAD, j]. Grid: blocks of columns, leaves. variation_of [leaf, block of columns]:
// the sum of total variation times tv_step, before the step.
extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) leaf_update(
    float* __restrict__ values, const float* __restrict__ density, float* __restrict__ new_density,
    float* __restrict__ first, float* __restrict__ second, const int* __restrict__ slab_of,
    const double* __restrict__ corner, const int* __restrict__ levels, const double* __restrict__ spacing,
    const double* __restrict__ views, const double* __restrict__ half_widths, const int* __restrict__ tap_count,
    const float* __restrict__ tables, const int* __restrict__ chosen, const float* __restrict__ contracted,
    const float* __restrict__ tv_step, const float* __restrict__ side_gradient, const int* __restrict__ pair_of,
    const float* __restrict__ pair_grid, const float* __restrict__ pair_table, const float* __restrict__ extra,
    const float* __restrict__ extra_raw, const float* __restrict__ hyper, float* __restrict__ variation_of,
    int n_chosen, int n_levels, int n_u, int tv_variant, float tv_delta, int tv_stencil, int bins, float pair_scale,
    int pair_raw, int activation, float parameter, int optimizer) {
    __shared__ float gathered[SPAN][N];
    const int leaf = blockIdx.y, j = threadIdx.x, thread = threadIdx.y * N + threadIdx.x;
    const int begin = blockIdx.x * SPAN, columns = min(SPAN, N * N - begin);
    // First the data's gradient of all columns.
    gather_columns(
        gathered, leaf, begin, columns, slab_of, corner, levels, spacing, views, half_widths, tap_count, tables, chosen,
        contracted, n_chosen, n_levels, n_u);
    // Then everything else, a vertex at a time, up to the new value.
    const long long first_of_leaf = (long long)leaf * (N * N * N);
    const float* block = density + first_of_leaf;
    const Measure measure = measure_of(tv_variant, tv_delta, tv_stencil);
    const float tv = tv_step == nullptr ? 0.0f : tv_step[leaf];
    const int pair = pair_of == nullptr ? -1 : pair_of[leaf];
    values += first_of_leaf;
    new_density += first_of_leaf;
    if (first != nullptr) first += first_of_leaf;
    if (second != nullptr) second += first_of_leaf;
    if (side_gradient != nullptr) side_gradient += (long long)leaf * 6 * N * N;
    float variation = 0.0f;
    for (int own = threadIdx.y; own < columns; own += COLUMNS) {
        const int column = begin + own, i = column / N, k = column % N, at = column * N + j;
        float g = gathered[own][j];
        if (tv_step != nullptr) {
            const Variation found = variation_at(block, i, k, j, measure);
            variation += found.value;
            g += tv * found.slope;
        }
        if (side_gradient != nullptr) g += side_gradient_at(side_gradient, i, k, j);
        const float v = values[at];
        // By raw value it comes after the activation's chain rule, by density before it.
        const float by_partners = pair < 0 ? 0.0f
            : pair_scale * pair_slope(pair_raw ? v : block[at], pair_grid + 2 * pair,
                                      pair_table + (long long)pair * bins * 8, bins);
        if (!pair_raw) g += by_partners;
        if (extra != nullptr) g += extra[first_of_leaf + at];
        g *= activation_slope(activation, parameter, v);
        if (pair_raw) g += by_partners;
        if (extra_raw != nullptr) g += extra_raw[first_of_leaf + at];
        const float updated = optimize(optimizer, hyper, v, g, first, second, at);
        values[at] = updated;
        new_density[at] = activate(activation, parameter, updated);
    }
    if (tv_step == nullptr) return;  // the same in the whole grid
    // The block's sum of variation in two steps of a fixed order. Entry [threadIdx.y][j] of `gathered` is this thread's
    // own, and is not read any more.
    gathered[threadIdx.y][j] = variation;
    __syncthreads();
    if (thread < COLUMNS) {
        float sum = 0.0f;
        for (int other = 0; other < N; ++other) sum += gathered[thread][other];
        gathered[thread][0] = sum;
    }
    __syncthreads();
    if (thread == 0) {
        float sum = 0.0f;
        for (int own = 0; own < COLUMNS; ++own) sum += gathered[own][0];
        variation_of[(long long)leaf * gridDim.x + blockIdx.x] = tv * sum;
    }
}
