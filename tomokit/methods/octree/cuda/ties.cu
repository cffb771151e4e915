// Ties: the vertices that leaves share are one unknown (tomokit/methods/octree/ties.py).
//
//     tie_equals     both copies of the faces of equal leaves across one axis become their mean; launched for x, z, y
//                    in turn, so that edges and corners get the mean of all their copies
//     tie_jumps      faces beside a larger leaf, after that
//     soften_sides   negative values on the sides of every leaf times a factor, after all ties
//     multiply_tied  values times the number of equal leaves that share the vertex
//
// At a jump the fine side's vertex (i, j) lies at offset + scale (i, j) among the coarse side's, and has the
// weights h(i, p) h(j, q) there with h(i, p) = max(0, 1 - |offset_0 + scale i - p|), the hat function. With
// e(i, j) = fine(i, j) - sum h h coarse the difference from what lies between the coarse vertices and m = scale^3 the
// mass of a fine vertex over a coarse one's,
//
//     coarse(p, q) += sum_ij m h h e / (1 + sum_ij m h h),    then    fine(i, j) = sum_pq h h coarse(p, q).
//
// Offsets and scales are sums of powers of two, so positions and weights are exact in single precision. A coarse vertex
// is one thread's, which adds in the order of i and j. Faces that have a leaf in common are never in one launch: the
// host orders them in launches so that each leaf sees its faces in the order that the CPU ties them in.
//
// Arrays: values [leaf, x, z, y]. Indices i, j and p, q run along the two axes other than the face's, in the order
// x, z, y. Defines: N.

#define THREADS 256
// Coarse vertices along an edge of a fine face: a fine leaf is half as large, or less.
#define COVERED (N / 2 + 2)

// Where entry (i, j) of a leaf's side across an axis lies in the leaf.
__device__ inline int on_side(int axis, int upper, int i, int j) {
    const int edge = upper ? N - 1 : 0;
    if (axis == 0) return (edge * N + i) * N + j;
    return axis == 1 ? (i * N + edge) * N + j : (i * N + j) * N + edge;
}

// Grid: faces.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tie_equals(
    float* __restrict__ values, const int* __restrict__ below, const int* __restrict__ above, int axis) {
    float* lower = values + (long long)below[blockIdx.x] * (N * N * N);
    float* upper = values + (long long)above[blockIdx.x] * (N * N * N);
    for (int entry = threadIdx.x; entry < N * N; entry += THREADS) {
        const int i = entry / N, j = entry % N, end = on_side(axis, 1, i, j), begin = on_side(axis, 0, i, j);
        const float mean = 0.5f * (lower[end] + upper[begin]);
        lower[end] = mean;
        upper[begin] = mean;
    }
}

__device__ inline float hat(float at, int p) { return fmaxf(0.0f, 1.0f - fabsf(at - p)); }

// The mean of four neighbours [p][q] of a grid of rows of `width`, at (s, t) beyond the first one.
template <typename At>
__device__ inline float between(const At& value, int p, int q, float s, float t) {
    return (1.0f - s) * ((1.0f - t) * value(p, q) + t * value(p, q + 1))
        + s * ((1.0f - t) * value(p + 1, q) + t * value(p + 1, q + 1));
}

// face [launch]: the faces of this launch; by face: axis, fine, coarse, whether the fine leaf is below, offset (two)
// and scale. Grid: faces of the launch.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tie_jumps(
    float* __restrict__ values, const int* __restrict__ face, const int* __restrict__ axes,
    const int* __restrict__ fine, const int* __restrict__ coarse, const int* __restrict__ fine_is_below,
    const float* __restrict__ offsets, const float* __restrict__ scales) {
    __shared__ float before[COVERED][COVERED];
    const int f = face[blockIdx.x], axis = axes[f], fine_upper = fine_is_below[f], coarse_upper = !fine_upper;
    float* small = values + (long long)fine[f] * (N * N * N);
    float* large = values + (long long)coarse[f] * (N * N * N);
    const float scale = scales[f], mass = scale * scale * scale;
    const float offset_i = offsets[2 * f], offset_j = offsets[2 * f + 1];
    // The first coarse vertices that the face touches, and how many there are along its edges.
    const int first_p = min((int)offset_i, N - 2), first_q = min((int)offset_j, N - 2);
    const int last_p = min((int)(offset_i + scale * (N - 1)), N - 2) + 1;
    const int last_q = min((int)(offset_j + scale * (N - 1)), N - 2) + 1;
    const int n_p = last_p - first_p + 1, n_q = last_q - first_q + 1;
    for (int entry = threadIdx.x; entry < n_p * n_q; entry += THREADS) {
        const int p = entry / n_q, q = entry % n_q;
        before[p][q] = large[on_side(axis, coarse_upper, first_p + p, first_q + q)];
    }
    __syncthreads();
    const auto old_coarse = [&](int p, int q) { return before[p - first_p][q - first_q]; };
    for (int entry = threadIdx.x; entry < n_p * n_q; entry += THREADS) {
        const int p = first_p + entry / n_q, q = first_q + entry % n_q;
        // Fine vertices less than a coarse spacing away.
        const int begin_i = max((int)ceilf((p - 1 - offset_i) / scale), 0);
        const int end_i = min((int)floorf((p + 1 - offset_i) / scale), N - 1);
        const int begin_j = max((int)ceilf((q - 1 - offset_j) / scale), 0);
        const int end_j = min((int)floorf((q + 1 - offset_j) / scale), N - 1);
        float moved = 0.0f, masses = 1.0f;
        for (int i = begin_i; i <= end_i; ++i) {
            const float at_i = offset_i + scale * i, weight_i = mass * hat(at_i, p);
            const int cell_i = min((int)at_i, N - 2);
            for (int j = begin_j; j <= end_j; ++j) {
                const float at_j = offset_j + scale * j, weight = weight_i * hat(at_j, q);
                const int cell_j = min((int)at_j, N - 2);
                const float expected = between(old_coarse, cell_i, cell_j, at_i - cell_i, at_j - cell_j);
                moved += weight * (small[on_side(axis, fine_upper, i, j)] - expected);
                masses += weight;
            }
        }
        large[on_side(axis, coarse_upper, p, q)] = old_coarse(p, q) + moved / masses;
    }
    __syncthreads();
    const auto new_coarse = [&](int p, int q) { return large[on_side(axis, coarse_upper, p, q)]; };
    for (int entry = threadIdx.x; entry < N * N; entry += THREADS) {
        const int i = entry / N, j = entry % N;
        const float at_i = offset_i + scale * i, at_j = offset_j + scale * j;
        const int p = min((int)at_i, N - 2), q = min((int)at_j, N - 2);
        small[on_side(axis, fine_upper, i, j)] = between(new_coarse, p, q, at_i - p, at_j - q);
    }
}

// Whether an entry of a side is left to the side of an axis before: edges and corners are one thread's.
__device__ inline bool is_of_earlier_axis(int axis, int i, int j) {
    const bool first = i == 0 || i == N - 1, second = j == 0 || j == N - 1;
    return axis == 1 ? first : (axis == 2 && (first || second));
}

// The sides that an entry of one side lies on, by bits 2 axis + upper: on an edge those across the other axes too.
__device__ inline int sides_at(int axis, int upper, int i, int j) {
    int bits = 1 << (2 * axis + upper);
    const int other_i = axis == 0 ? 1 : 0, other_j = axis == 2 ? 1 : 2;
    if (i == 0 || i == N - 1) bits |= 1 << (2 * other_i + (i == 0 ? 0 : 1));
    if (j == 0 || j == N - 1) bits |= 1 << (2 * other_j + (j == 0 ? 0 : 1));
    return bits;
}

// tied [leaf]: bit 2 axis + upper for each side that is shared with an equal leaf. `kept` is the factor: 0 for all
// sides, any other for vertices on a tied side alone. Grid: the six sides, leaves.
extern "C" __global__ void __launch_bounds__(THREADS, 4) soften_sides(
    float* __restrict__ values, const int* __restrict__ tied, float kept) {
    const int axis = blockIdx.x / 2, upper = blockIdx.x % 2, softens = kept > 0.0f ? tied[blockIdx.y] : ~0;
    float* block = values + (long long)blockIdx.y * (N * N * N);
    for (int entry = threadIdx.x; entry < N * N; entry += THREADS) {
        const int i = entry / N, j = entry % N, at = on_side(axis, upper, i, j);
        if (is_of_earlier_axis(axis, i, j) || (sides_at(axis, upper, i, j) & softens) == 0) continue;
        // What is not a number stays so; a bound leaves no zero with a sign.
        if (block[at] < 0.0f) block[at] = kept > 0.0f ? kept * block[at] : 0.0f;
    }
}

// tied as in soften_sides. Grid as there.
extern "C" __global__ void __launch_bounds__(THREADS, 4) multiply_tied(
    float* __restrict__ values, const int* __restrict__ tied) {
    const int axis = blockIdx.x / 2, upper = blockIdx.x % 2, mine = tied[blockIdx.y];
    float* block = values + (long long)blockIdx.y * (N * N * N);
    for (int entry = threadIdx.x; entry < N * N; entry += THREADS) {
        const int i = entry / N, j = entry % N;
        if (is_of_earlier_axis(axis, i, j)) continue;
        block[on_side(axis, upper, i, j)] *= (float)(1 << __popc(sides_at(axis, upper, i, j) & mine));
    }
}
