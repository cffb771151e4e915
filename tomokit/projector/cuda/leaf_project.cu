// Line integrals of the density on leaves, gathered in the y-vertices of each slab.
//
// Leaves of one level and one place along y, a slab, share their lattice along y. With rho [leaf, i, k, j] and the
// weights of footprint.cuh,
//
//     A[slab, t, u, j] = sum_{leaf in slab} sum_{i, k} w_t(u - u_t(leaf, i, k)) rho[leaf, i, k, j],
//     u_t = (x_leaf + i h) cos - (z_leaf + k h) sin + offset.
//
// A block owns a slab, a view and UNITS detector columns; a thread owns one (u, j). Its threads run along j first, so
// that rows of rho are read whole, each of them by neighbouring u soon after. A block skips leaves that none of its
// columns meets; for the others it loops over the axis along which a vertex's u changes slowly (k below 45 degrees, i
// above). Along the other one vertices follow each other at u-distances of h max(|cos|, |sin|), so that at most MOST of
// them lie within half_width of a column.
//
// A weight is the same for all j. Each thread computes those of one (u, step of the loop), and all read them from
// shared memory.
//
// A value is written by one thread, which adds in the order of leaves: the same bits at each run.
//
// The window of MOST vertices is kept within the leaf, so that none has to be compared with its ends: those farther
// than half_width have the weight zero.
//
// Defines: N, KNOTS, PAD (footprint.cuh); UNITS; MOST, at most N. A block is N x UNITS threads.

// A window's weights are kept in whole quadruples, each of which is one load from shared memory.
#define KEPT ((MOST + 3) / 4 * 4)

#include "projector/cuda/footprint.cuh"

// Sum over one leaf, added to `sum`. In memory the vertices of a window are ROW_IN apart, and firsts [out] says where
// in `block` a window begins.
template <int ROW_IN>
__device__ inline float sum_of_leaf(
    float sum, const float* __restrict__ block, const float (*weights)[KEPT], const int* firsts) {
#pragma unroll (MOST > 8 ? 1 : 2)
    for (int out = 0; out < N; ++out) {
        const float* row = block + firsts[out];
#pragma unroll (MOST > 8 ? 4 : MOST)
        for (int m = 0; m < MOST; ++m) sum += weights[out][m] * row[m * ROW_IN];
    }
    return sum;
}

// corner [leaf, (x, z)]; slab_first [slab + 1], leaves of a slab follow each other; spacing, half_width, tap_count by
// level, the latter two by view too; view [t, (cos, sin, offset)]; chosen [step], the views to project. Grid: blocks
// of u, views, slabs.
extern "C" __global__ void __launch_bounds__(N* UNITS, 4) leaf_project(
    const float* __restrict__ rho, const double* __restrict__ corner, const int* __restrict__ slab_first,
    const int* __restrict__ slab_level, const double* __restrict__ spacing, const double* __restrict__ views,
    const double* __restrict__ half_widths, const int* __restrict__ tap_count, const float* __restrict__ tables,
    const int* __restrict__ chosen, float* __restrict__ projected, int n_levels, int n_u) {
    __shared__ __align__(16) float weights[UNITS][N][KEPT];
    __shared__ int firsts[UNITS][N];
    const int slab = blockIdx.z, t = chosen[blockIdx.y], level = slab_level[slab];
    const int j = threadIdx.x, u0 = blockIdx.x * UNITS, u = u0 + threadIdx.y;
    const double cosine = views[3 * t], sine = views[3 * t + 1], offset = views[3 * t + 2];
    const double far = half_widths[t * n_levels + level], h = spacing[level];
    const int taps = tap_count[t * n_levels + level];
    const float* of_level = tables_of(tables, t, level, n_levels);
    const bool along_x = fabs(cosine) >= fabs(sine);
    const float step_in = (float)(h * (along_x ? cosine : -sine)), step_out = (float)(h * (along_x ? -sine : cosine));
    const float half_width = (float)far, inverse = 1.0f / step_in, half_width_in = half_width * fabsf(inverse);
    const double edge_x = (N - 1) * h * cosine, edge_z = -(N - 1) * h * sine;
    const double left = fmin(edge_x, 0.0) + fmin(edge_z, 0.0) - far;
    const double right = fmax(edge_x, 0.0) + fmax(edge_z, 0.0) + far;
    float sum = 0.0f;
    for (int leaf = slab_first[slab]; leaf < slab_first[slab + 1]; ++leaf) {
        const double base = corner[2 * leaf] * cosine - corner[2 * leaf + 1] * sine + offset;
        if (base + right < u0 || base + left > u0 + UNITS - 1) continue;  // the same in the whole block
        __syncthreads();  // weights of the leaf before may still be read
        {
            // A thread's j is free here: threadIdx.x numbers the steps of the outer loop instead.
            const int out = threadIdx.x, side_out = side_of(out);
            const float middle = (float)(base - u) + out * step_out;
            const int first = min(max((int)ceilf(-middle * inverse - half_width_in), 0), N - MOST);
            firsts[threadIdx.y][out] = along_x ? first * (N * N) + out * N : first * N + out * (N * N);
            for (int m = 0; m < MOST; ++m) {
                const int in = first + m, side_in = side_of(in);
                // Vertex and footprint relative to column u, which is pixel 0: tap 0 is pixel floor(q) + 1.
                const float q = middle + in * step_in - half_width, below = floorf(q);
                const int tap = -1 - (int)below;
                float weight = 0.0f;
                if (tap >= 0 && tap < taps) {
                    const int place = along_x ? table_at(side_in, side_out) : table_at(side_out, side_in);
                    weight = table_weight(of_level + place, q - below, tap);
                }
                weights[threadIdx.y][out][m] = weight;
            }
        }
        __syncthreads();
        const float* block = rho + (long long)leaf * (N * N * N) + j;
        sum = along_x ? sum_of_leaf<N * N>(sum, block, weights[threadIdx.y], firsts[threadIdx.y])
                      : sum_of_leaf<N>(sum, block, weights[threadIdx.y], firsts[threadIdx.y]);
    }
    if (u < n_u) projected[(((long long)slab * gridDim.y + blockIdx.y) * n_u + u) * N + j] = sum;
}
