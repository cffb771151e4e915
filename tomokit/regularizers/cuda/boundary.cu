// Boundary consistency: the gradient by the sides of every leaf (tomokit/regularizers/boundary_kernels.py).
//
// The penalty sums |fine(a, b) - coarse(p, q)| over the n^2 lattice points of the finer side of every shared face,
// the coarser side interpolated bilinearly at p = offset_0 + scale a, q = offset_1 + scale b. Its gradient, times
// `step`:
//
//     by a vertex of the finer side     sign(difference at it)
//     by a vertex of the coarser side   - sum over the fine points within one spacing of weight * sign(difference)
//
// A thread owns one vertex of one side of one leaf, and gathers over the faces on that side: the finer ones beyond a
// coarse vertex are at most (2 / scale)^2. Offsets are multiples of (n - 1) scale, and scale is a power of two: exact
// in single precision. Each face counts once, where its finer side is.
//
// Sides are 2 axis + upper, a and b the other two axes in the order x, z, y. faces_of [6 leaf + side (+ 1)] bounds the
// entries of a side: neighbour, offset [2], scale, and whether this side is the finer one. Leaves from `n_own` on
// belong to other subdomains of the fit (tomokit/methods/octree/cuda/partition.py): only their layer at the cut is
// here, in `beyond` [leaf - n_own, a, b].
//
// Defines: N. A block is THREADS threads.

#define THREADS 128

#include "gpu/block_sums.cuh"

// One side of a leaf where it lies, in a block [x, z, y] or as a layer: no side is copied, as the CPU does.
struct Side {
    const float* first;
    int by_a, by_b;  // steps in memory to the next vertex along a and b
};

__device__ inline float side_value(const Side& side, int a, int b) {
    return side.first[a * side.by_a + b * side.by_b];
}

__device__ inline Side side_of(const float* block, int side) {
    const int fixed = side % 2 ? N - 1 : 0;
    if (side < 2) return {block + fixed * N * N, N, 1};
    if (side < 4) return {block + fixed * N, N * N, 1};
    return {block + fixed, N * N, N};
}

// The coarser side at a place between its vertices. The last vertex begins no cell: it is in the one before.
__device__ inline float coarse_value(const Side& side, float at_a, float at_b) {
    const int p = min((int)at_a, N - 2), q = min((int)at_b, N - 2);
    const float s = at_a - p, t = at_b - q;
    const float c00 = side_value(side, p, q), c01 = side_value(side, p, q + 1);
    const float c10 = side_value(side, p + 1, q), c11 = side_value(side, p + 1, q + 1);
    const float low = c00 + t * (c01 - c00), high = c10 + t * (c11 - c10);
    return low + s * (high - low);
}

__device__ inline float sign_of(float d) { return d > 0.0f ? 1.0f : (d < 0.0f ? -1.0f : 0.0f); }

// Weight of vertex `own` along one axis when the point `at` is interpolated.
__device__ inline float interpolation_weight(int own, float at) {
    const int p = min((int)at, N - 2);
    const float s = at - p;
    return own == p ? 1.0f - s : (own == p + 1 ? s : 0.0f);
}

// side_gradient [leaf, side, a, b], written; partial [leaf, side, block], sums of |difference|. Grid: blocks of (a, b),
// sides, leaves.
extern "C" __global__ void __launch_bounds__(THREADS, 4) boundary_gradient(
    const float* __restrict__ field, const float* __restrict__ beyond, const int* __restrict__ faces_of,
    const int* __restrict__ neighbour, const float* __restrict__ offset, const float* __restrict__ scales,
    const int* __restrict__ is_fine, float* __restrict__ side_gradient, float* __restrict__ partial, float step,
    int n_own) {
    __shared__ float sums[THREADS];
    const int leaf = blockIdx.z, side = blockIdx.y, opposite = side ^ 1;
    const int vertex = blockIdx.x * THREADS + threadIdx.x, a = vertex / N, b = vertex % N;
    const long long size = N * N * N;
    float total = 0.0f;
    // No early return: all threads have to meet at the barriers of the sum below.
    if (vertex < N * N) {
        const Side here = side_of(field + leaf * size, side);
        const float own = side_value(here, a, b);
        float gradient = 0.0f;
        for (int f = faces_of[6 * leaf + side]; f < faces_of[6 * leaf + side + 1]; ++f) {
            const int from = neighbour[f];
            const Side there = from < n_own ? side_of(field + from * size, opposite)
                                            : Side{beyond + (long long)(from - n_own) * (N * N), N, 1};
            const float scale = scales[f], from_a = offset[2 * f], from_b = offset[2 * f + 1];
            if (is_fine[f] || scale == 1.0f) {
                const float d = own - (scale == 1.0f ? side_value(there, a, b)
                                       : coarse_value(there, from_a + scale * a, from_b + scale * b));
                gradient += sign_of(d);
                if (is_fine[f]) total += fabsf(d);
                continue;
            }
            // The finer side lies beyond: its points within one spacing of this vertex, in the finer side's numbers.
            const int begin_a = max(0, (int)ceilf((a - 1 - from_a) / scale));
            const int end_a = min(N - 1, (int)floorf((a + 1 - from_a) / scale));
            const int begin_b = max(0, (int)ceilf((b - 1 - from_b) / scale));
            const int end_b = min(N - 1, (int)floorf((b + 1 - from_b) / scale));
            for (int fine_a = begin_a; fine_a <= end_a; ++fine_a) {
                const float at_a = from_a + scale * fine_a, weight_a = interpolation_weight(a, at_a);
                for (int fine_b = begin_b; fine_b <= end_b; ++fine_b) {
                    const float at_b = from_b + scale * fine_b, weight = weight_a * interpolation_weight(b, at_b);
                    if (weight == 0.0f) continue;
                    // The coarse vertices around the point compute this difference each for itself.
                    const float d = side_value(there, fine_a, fine_b) - coarse_value(here, at_a, at_b);
                    gradient -= weight * sign_of(d);
                }
            }
        }
        side_gradient[((long long)leaf * 6 + side) * (N * N) + vertex] = step * gradient;
    }
    const float all = sum_of_block(total, sums);
    if (threadIdx.x == 0) partial[((long long)leaf * 6 + side) * gridDim.x + blockIdx.x] = all;
}
