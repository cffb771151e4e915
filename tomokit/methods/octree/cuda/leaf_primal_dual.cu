// One primal-dual step on all leaves: duals of total variation, then densities, each array read and written once
// (tomokit/methods/octree/primal_dual_step.py, where the formulas are from).
//
// With w = half_weight tv_step[leaf] the weight of total variation by differences, t = step_of[leaf], s = groups the
// steps of an epoch, g the back-projected change of the data's duals (leaf_gather.cuh), and the differences to the next
// vertex, zero beyond the last,
//
//     q' = kept P(q + rate grad d),  P to lengths of at most c,    rate = rate_factor / (t w)
//     p = div* q' = sum over axes of q'(behind) - q'(here)
//     d' = d - m t (z + (1 + s) g + w (2 p - v) + half_weight (other gradients)),  times kept_negative where negative
//     z' = z + g,  v' = p
//
// where v is what p was before. `kept` is 0 at the upper sides that are tied: there the leaf beyond has differences.
// m is doubled for each tied side that a vertex lies on, as its leaf sees only half of its data and differences there;
// what is negative of such a vertex is softened after its copies have been averaged (ties.cu). c is 1, or
// where `limits` are given linear between the NODES^3 of a leaf, which divide it evenly: along x and z once for a
// column, along y at each vertex.
//
// A block owns a whole leaf and goes through its columns (i, k) in their order, SPAN at a time: first all duals of the
// span, then, after a barrier, its densities. A vertex behind lies in the same span or one before, so its new dual is
// written already; one ahead has still its old density. So both change in place, nothing is computed twice, and no
// second array is needed. Of a vertex 48 bytes are read and written (d, z, v, q of three; the same again), and what
// neighbours need of each other is in the first cache.
//
// Values are densities here: other penalties' gradients by either are one sum (pair_slope.cuh, arrays).
//
// Defines: N, KNOTS, PAD (footprint.cuh); COLUMNS; PASSES; NODES, at least 2. A block is N x COLUMNS threads.

#include "gpu/fast_math.cuh"
#include "projector/cuda/footprint.cuh"
#include "projector/cuda/leaf_gather.cuh"
#include "regularizers/cuda/pair_slope.cuh"

// `tied` has bit 2 axis + upper for each side that is shared with an equal leaf; axes x, z, y.
__device__ inline int bits_below(int i, int k, int j) {
    return (i == 0 ? 1 : 0) | (k == 0 ? 4 : 0) | (j == 0 ? 16 : 0);
}
__device__ inline int bits_above(int i, int k, int j) {
    return (i == N - 1 ? 2 : 0) | (k == N - 1 ? 8 : 0) | (j == N - 1 ? 32 : 0);
}

// Where a vertex lies among the nodes along an edge: the cell, and how far beyond its first node.
struct NodePlace {
    int cell;
    float beyond;
};
__device__ inline NodePlace place_of(int vertex) {
    const float at = (float)(vertex * (NODES - 1)) / (float)(N - 1);
    const int cell = min((int)at, NODES - 2);
    return {cell, at - cell};
}

__device__ inline float between(float first, float second, float beyond) { return first + beyond * (second - first); }

// limits_of [own][r], in shared memory: limits of the columns begin .. begin + columns - 1 of a leaf at its nodes r
// along y, from its own [NODES][NODES][NODES].
__device__ inline void limit_columns(
    float (*limits_of)[NODES], const float* __restrict__ limits, int begin, int columns) {
    for (int entry = threadIdx.y * N + threadIdx.x; entry < columns * NODES; entry += N * COLUMNS) {
        const int own = entry / NODES, r = entry % NODES;
        const NodePlace x = place_of((begin + own) / N), z = place_of((begin + own) % N);
        const float* node = limits + (x.cell * NODES + z.cell) * NODES + r;
        const float near = between(node[0], node[NODES], z.beyond);
        const float far = between(node[NODES * NODES], node[NODES * NODES + NODES], z.beyond);
        limits_of[own][r] = between(near, far, x.beyond);
    }
}

// What brings a vector with this square of its length into the bound.
__device__ inline float shrink_to(float bound, float square) {
    return bound * inverse_root(fmaxf(bound * bound, square));
}

// contracted [slab, view, PAD + u + PAD, j]; limits [leaf, x, z, y], null where c is 1. Grid: leaves.
// variation_of [leaf, piece]: the sum of c |grad d| times tv_step before the step, in the first piece of `pieces`, the
// others zero. tv_step null: no total variation.
extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) leaf_primal_dual(
    float* __restrict__ density, float* __restrict__ data_pull, float* __restrict__ variation_pull,
    float* __restrict__ dual_x, float* __restrict__ dual_z, float* __restrict__ dual_y, const int* __restrict__ slab_of,
    const double* __restrict__ corner, const int* __restrict__ levels, const double* __restrict__ spacing,
    const double* __restrict__ views, const double* __restrict__ half_widths, const int* __restrict__ tap_count,
    const float* __restrict__ tables, const int* __restrict__ chosen, const float* __restrict__ contracted,
    const float* __restrict__ step_of, const int* __restrict__ tied_of, const float* __restrict__ limits,
    const float* __restrict__ tv_step, const int* __restrict__ pair_of, const float* __restrict__ pair_grid,
    const float* __restrict__ pair_table, const float* __restrict__ extra, const float* __restrict__ extra_raw,
    float* __restrict__ variation_of,
    int n_chosen, int n_levels, int n_u, int bins, float pair_scale, float groups, float half_weight,
    float rate_factor, float kept_negative, int pieces) {
    __shared__ float gathered[SPAN][N];
    __shared__ float limits_of[SPAN][NODES];
    const int leaf = blockIdx.x, j = threadIdx.x, thread = threadIdx.y * N + threadIdx.x, tied = tied_of[leaf];
    const float step = step_of[leaf], weight = tv_step == nullptr ? 0.0f : half_weight * tv_step[leaf];
    const float rate = weight > 0.0f ? rate_factor / (step * weight) : 0.0f;
    const int pair = pair_of == nullptr ? -1 : pair_of[leaf];
    const long long first_of_leaf = (long long)leaf * (N * N * N);
    density += first_of_leaf;
    data_pull += first_of_leaf;
    variation_pull += first_of_leaf;
    dual_x += first_of_leaf;
    dual_z += first_of_leaf;
    dual_y += first_of_leaf;
    const NodePlace y = place_of(j);
    float variation = 0.0f;
    for (int begin = 0; begin < N * N; begin += SPAN) {
        const int columns = min(SPAN, N * N - begin);
        if (limits != nullptr) {
            // The last span's are not read any more since its barrier.
            limit_columns(limits_of, limits + (long long)leaf * (NODES * NODES * NODES), begin, columns);
            __syncthreads();
        }
        gather_columns(
            gathered, leaf, begin, columns, slab_of, corner, levels, spacing, views, half_widths, tap_count, tables,
            chosen, contracted, n_chosen, n_levels, n_u);
        for (int own = threadIdx.y; own < columns; own += COLUMNS) {
            const int column = begin + own, i = column / N, k = column % N, at = column * N + j;
            const float here = density[at];
            const float d_x = i < N - 1 ? density[at + N * N] - here : 0.0f;
            const float d_z = k < N - 1 ? density[at + N] - here : 0.0f;
            const float d_y = j < N - 1 ? density[at + 1] - here : 0.0f;
            const bool kept = (bits_above(i, k, j) & tied) == 0;
            float bound = 1.0f;
            if (limits != nullptr) bound = between(limits_of[own][y.cell], limits_of[own][y.cell + 1], y.beyond);
            if (kept) variation += bound * root_of(d_x * d_x + d_z * d_z + d_y * d_y);
            const float a = dual_x[at] + rate * d_x, b = dual_z[at] + rate * d_z, c = dual_y[at] + rate * d_y;
            const float shrink = kept ? shrink_to(bound, a * a + b * b + c * c) : 0.0f;
            dual_x[at] = a * shrink;
            dual_z[at] = b * shrink;
            dual_y[at] = c * shrink;
        }
        __syncthreads();
        for (int own = threadIdx.y; own < columns; own += COLUMNS) {
            const int column = begin + own, i = column / N, k = column % N, at = column * N + j;
            const float here = density[at], g = gathered[own][j];
            const float pull = ((i > 0 ? dual_x[at - N * N] : 0.0f) - dual_x[at])
                + ((k > 0 ? dual_z[at - N] : 0.0f) - dual_z[at]) + ((j > 0 ? dual_y[at - 1] : 0.0f) - dual_y[at]);
            float other = 0.0f;
            if (pair >= 0)
                other = pair_scale
                    * pair_slope(here, pair_grid + 2 * pair, pair_table + (long long)pair * bins * 8, bins);
            if (extra != nullptr) other += extra[first_of_leaf + at];
            if (extra_raw != nullptr) other += extra_raw[first_of_leaf + at];
            const float pulled = data_pull[at];
            const float downhill = pulled + (1.0f + groups) * g + weight * (2.0f * pull - variation_pull[at])
                + half_weight * other;
            const int shared = (bits_below(i, k, j) | bits_above(i, k, j)) & tied;
            const float moved = here - (float)(1 << __popc(shared)) * step * downhill;
            data_pull[at] = pulled + g;
            variation_pull[at] = pull;
            // What is not a number stays so; a bound leaves no zero with a sign.
            const float softened = kept_negative > 0.0f ? kept_negative * moved : 0.0f;
            density[at] = shared == 0 && moved < 0.0f ? softened : moved;
        }
    }
    if (tv_step == nullptr) return;  // the same in the whole grid
    // The leaf's sum of variation in two steps of a fixed order. Entry [threadIdx.y][j] of `gathered` is this thread's
    // own, and is not read any more.
    gathered[threadIdx.y][j] = variation;
    __syncthreads();
    if (thread < COLUMNS) {
        float sum = 0.0f;
        for (int other = 0; other < N; ++other) sum += gathered[thread][other];
        gathered[thread][0] = sum;
    }
    __syncthreads();
    float sum = 0.0f;
    for (int own = 0; own < COLUMNS; ++own) sum += gathered[own][0];
    for (int piece = thread; piece < pieces; piece += N * COLUMNS)
        variation_of[(long long)leaf * pieces + piece] = piece == 0 ? tv_step[leaf] * sum : 0.0f;
}
