// Back-projection to some vertex columns of a leaf, by all threads of a block together.
//
// With B the contracted stack (leaf_rows.cu) and the weights of footprint.cuh,
//
//     g(i, k, j) = sum_t sum_tap w_t(tap; i, k) B[slab, t, u0(i, k) + tap, j]
//
// where i, k and j run over x, z and y of a leaf's vertices, a column is a pair (i, k) and `own` its number among the
// SPAN = COLUMNS PASSES columns that the block has; t runs over views and `tap` over the few detector columns that a
// vertex column's footprint covers, from u0 on.
//
// Threads run along j, so that B is read in whole rows, which neighbouring columns share. Weights of all the block's
// columns are computed first, for one view after the other, and read from shared memory. B has PAD rows of zeros on
// either side of the detector: columns that lie further out are taken to lie there, and no row has to be compared with
// the detector's ends.
//
// Defines: N, KNOTS, PAD (footprint.cuh); COLUMNS; PASSES. A block is N x COLUMNS threads. After footprint.cuh.

#define SPAN (COLUMNS * PASSES)
// Few taps are all taken, those past the footprint with the weight 0, in a loop that is laid out.
#define FEW_TAPS 8
// A column's weights are kept in whole quadruples, each of which is one load from shared memory.
#define KEPT ((PAD + 3) / 4 * 4)

// gathered [own][j], in shared memory: g of the columns begin .. begin + columns - 1 of the leaf, written at
// own = threadIdx.y + COLUMNS m and j = threadIdx.x by the thread itself, which needs no barrier to read it.
__device__ inline void gather_columns(
    float (*gathered)[N], int leaf, int begin, int columns, const int* __restrict__ slab_of,
    const double* __restrict__ corner, const int* __restrict__ levels, const double* __restrict__ spacing,
    const double* __restrict__ views, const double* __restrict__ half_widths, const int* __restrict__ tap_count,
    const float* __restrict__ tables, const int* __restrict__ chosen, const float* __restrict__ contracted,
    int n_chosen, int n_levels, int n_u) {
    __shared__ __align__(16) float weights[SPAN][KEPT];
    __shared__ int firsts[SPAN];
    const int level = levels[leaf], j = threadIdx.x, thread = threadIdx.y * N + threadIdx.x;
    const double h = spacing[level];
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
}
