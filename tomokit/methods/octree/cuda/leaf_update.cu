// The backward pass: every vertex is taken through the whole step by one thread.
//
// With B the contracted residual, which carries the data term's factor (leaf_rows.cu), and the weights of
// footprint.cuh,
//
//     g = sum_t sum_tap w_t(tap; i, k) B[slab, t, u0(i, k) + tap, j]                      data
//       + tv_step[leaf] dTV/drho                                                          variation.cuh, by density
//       + gradient by the leaf's sides                                                    boundary.cu
//       + scale (sign(e) e'(rho) / P + G(rho))                          cross-node constraint, see below
//       + what regularizers of plugins have left, by density
//     g <- g s'(v)  + the same of penalties on raw values                                 activation.cuh
//     v <- optimizer(v, g),  rho <- s(v)                                                  optimizer.cuh
//
// Neighbours read the old densities while others write new ones, so density goes from one array to another, and the
// two change places after each step; v and what the optimizer remembers are nobody else's and change in place.
// Nothing is added to by two threads.
//
// A block owns PASSES COLUMNS vertex columns of one leaf, and takes COLUMNS of them at a time; its threads run along j,
// so that B is read in whole rows, which neighbouring columns share. Weights of all its columns are computed first, for
// one view after the other, and read from shared memory; what a vertex has gathered waits there too. B has PAD rows of
// zeros on either side of the detector: columns that lie further out are taken to lie there, and no row has to be
// compared with the detector's ends.
//
// Indices: i, k and j run over x, z and y of a leaf's vertices, a column is a pair (i, k) and `own` its number in the
// block; t runs over views and `tap` over the few detector columns that a vertex column's footprint covers, from u0 on.
//
// The cross-node constraint answers a value by a function of that value alone, tabulated on a grid over the leaf's
// range: with c the row of `pair_table` at the place of the value, t the part of a spacing beyond it, e = c0 + t (c1
// + t (c2 + t c3)), e' = (c1 + t (2 c2 + 3 t c3)) / spacing, and G likewise from c4 .. c7
// (tomokit/regularizers/cross_node_grid.py).
//
// Defines: N, KNOTS, PAD (footprint.cuh); COLUMNS; PASSES. A block is N x COLUMNS threads.

#define SPAN (COLUMNS * PASSES)
// Few taps are all taken, those past the footprint with the weight 0, in a loop that is laid out.
#define FEW_TAPS 8
// A column's weights are kept in whole quadruples, each of which is one load from shared memory.
#define KEPT ((PAD + 3) / 4 * 4)

#include "gpu/fast_math.cuh"
#include "projector/cuda/footprint.cuh"
#include "activation/activation.cuh"
#include "optimizers/optimizer.cuh"
#include "regularizers/cuda/variation.cuh"
#include "regularizers/cuda/sides.cuh"

// grid: lowest node and spacing; table: rows of eight.
__device__ inline float pair_slope(
    float value, const float* __restrict__ grid, const float* __restrict__ table, int bins) {
    const float inverse = quotient(1.0f, grid[1]);
    const float at = fmaxf((value - grid[0]) * inverse, 0.0f);
    // Rounding may put the range's ends a little beyond it; the clamps of `at` and t take them back.
    const int node = min((int)at, bins - 2);
    const float t = fminf(at - node, 1.0f);
    const float* c = table + 8 * node;
    const float e = c[0] + t * (c[1] + t * (c[2] + t * c[3]));
    const float slope = inverse / (N * N * N) * (c[1] + t * (2.0f * c[2] + t * 3.0f * c[3]));
    return c[4] + t * (c[5] + t * (c[6] + t * c[7])) + (e > 0.0f ? slope : (e < 0.0f ? -slope : 0.0f));
}

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
    __shared__ __align__(16) float weights[SPAN][KEPT];
    __shared__ int firsts[SPAN];
    __shared__ float gathered[SPAN][N];
    const int leaf = blockIdx.y, level = levels[leaf], j = threadIdx.x, thread = threadIdx.y * N + threadIdx.x;
    const int begin = blockIdx.x * SPAN, columns = min(SPAN, N * N - begin);
    const double h = spacing[level];
    // First the data's gradient of all columns, one view after the other.
    for (int step = 0; step < n_chosen; ++step) {
        const int t = chosen[step], taps = tap_count[t * n_levels + level];
        const double cosine = views[3 * t], sine = views[3 * t + 1];
        const double base = corner[2 * leaf] * cosine - corner[2 * leaf + 1] * sine + views[3 * t + 2];
        // The leaf's first column on the detector in double precision, and the others in single relative to the pixel
        // below it: near u = 1000 a single would be off by 6e-5 pixels.
        const double whole_px = floor(base);
        const float lead = (float)(base - whole_px), half_width = (float)half_widths[t * n_levels + level];
        const float step_x = (float)(h * cosine), step_z = (float)(-h * sine);
        const float* of_level = tables_of(tables, t, level, n_levels);
        // Nobody may still read the last view's weights when they are written over.
        __syncthreads();
        for (int entry = thread; entry < columns * PAD; entry += N * COLUMNS) {
            const int own = entry / PAD, tap = entry % PAD, i = (begin + own) / N, k = (begin + own) % N;
            const float q = lead + i * step_x + k * step_z - half_width, below = floorf(q);
            const int u0 = (int)whole_px + (int)below + 1, u = u0 + tap;
            const bool met = tap < taps && u >= 0 && u < n_u;
            const float* table = of_level + table_at(side_of(i), side_of(k));
            weights[own][tap] = met ? table_weight(table, q - below, tap) : 0.0f;
            if (tap == 0) firsts[own] = (min(max(u0, -PAD), n_u) + PAD) * N;
        }
        __syncthreads();
        const float* rows = contracted + ((long long)slab_of[leaf] * n_chosen + step) * ((n_u + 2 * PAD) * N) + j;
        for (int own = threadIdx.y; own < columns; own += COLUMNS) {
            // All threads along j take the same weights and read a row side by side.
            const float* row = rows + firsts[own];
            float g = step == 0 ? 0.0f : gathered[own][j];
            if (PAD <= FEW_TAPS) {
#pragma unroll
                for (int tap = 0; tap < PAD; ++tap) g += weights[own][tap] * row[tap * N];
            } else {
                for (int tap = 0; tap < taps; ++tap) g += weights[own][tap] * row[tap * N];
            }
            gathered[own][j] = g;
        }
    }
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
