// Between y-vertices of slabs and detector rows: the prediction with its residual, and the transpose.
//
// At each level a detector row v of a view belongs to at most one slab s, and is the mean of the field along y over
// what of the row lies in it, with weights w on the vertices j, j + 1, ...; row_slab (-1: none) and row_vertex
// [t, level, v] and row_weight [t, level, v, tap] say which (tomokit/projector/leaf_rows.py). The prediction is
//
//     P[t, u, v] = kappa sum_level sum_tap w[tap] A[s, t, u, j + tap],
//
// and r = P + b - d the residual to the data d, b the view's offset as it was last. The offset that fits best is
// b' = b - c with c = (sum m r) / (sum m) over the view, m the mask, and what is left is
// sum m (r - c)^2 = sum m r^2 - c sum m r. With the last b in r, c is small, which keeps this difference from
// cancelling. Sums go from threads to warps to blocks in single precision and over blocks in double, always in the same
// order.
//
// The transpose of the means, with the residual's mask and factor applied on the way,
//
//     B[s, t, u, j] = factor sum_v m (r - c) w[j - row_vertex],
//
// is a gather too: a thread owns (s, t, u, j) and reads the rows that come within one spacing of its vertex. There are
// `pad` more columns u on either side, of zeros, for footprints that stand out of the detector.
//
// `chosen` lists the views of the step. Data and mask are of all views or, where `gathered` is not 0, of those of the
// step alone, in its order.
//
// Defines: N, vertices along an edge; TAPS, weights of a row.

#define THREADS 256

// For all threads of the block, which have to call it together.
__device__ inline float sum_of_block(float value) {
    __shared__ float of_warp[THREADS / 32];
    // Within a warp by shuffles, without shared memory; then each thread adds the warps' sums, in the same order.
    for (int step = 16; step > 0; step /= 2) value += __shfl_down_sync(0xffffffffu, value, step);
    __syncthreads();  // a sum before this one may still be read
    if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
    __syncthreads();
    float total = 0.0f;
    for (int w = 0; w < THREADS / 32; ++w) total += of_warp[w];
    return total;
}

// Without `data` it writes the prediction alone. Grid: blocks of (u, v), views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) leaf_residual(
    const float* __restrict__ projected, const int* __restrict__ row_slab, const int* __restrict__ row_vertex,
    const float* __restrict__ row_weight, const int* __restrict__ chosen, const float* __restrict__ data,
    const float* __restrict__ mask, const double* __restrict__ offsets, float* __restrict__ residual,
    float* __restrict__ partial, float kappa, int gathered, int n_levels, int n_u, int n_v) {
    const int t = chosen[blockIdx.y];
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x, pixels = (long long)n_u * n_v;
    float weighted = 0.0f, square = 0.0f;
    // Threads beyond the last pixel go on with zeros: all have to meet at the sums.
    if (pixel < pixels) {
        const int u = (int)(pixel / n_v), v = (int)(pixel - (long long)u * n_v);
        float sum = 0.0f;
        for (int level = 0; level < n_levels; ++level) {
            const long long row = ((long long)t * n_levels + level) * n_v + v;
            const int slab = row_slab[row];
            if (slab < 0) continue;
            const long long of_slab = ((long long)slab * gridDim.y + blockIdx.y) * n_u + u;
            const float* line = projected + of_slab * N + row_vertex[row];
            for (int tap = 0; tap < TAPS; ++tap) sum += row_weight[row * TAPS + tap] * line[tap];
        }
        float value = kappa * sum;
        if (data != nullptr) {
            const long long at = (gathered ? (int)blockIdx.y : t) * pixels + pixel;
            value -= data[at] - (float)offsets[t];
            weighted = mask == nullptr ? value : mask[at] * value;
            square = weighted * value;
        }
        residual[blockIdx.y * pixels + pixel] = value;
    }
    if (data == nullptr) return;
    weighted = sum_of_block(weighted);
    square = sum_of_block(square);
    if (threadIdx.x == 0) {
        float* mine = partial + 2 * ((long long)blockIdx.y * gridDim.x + blockIdx.x);
        mine[0] = weighted;
        mine[1] = square;
    }
}

// Sums over the views of a step: `offset` [step] becomes c, `offsets` [t] the new b, `totals` += (sum m (r - c)^2,
// sum m). One block.
extern "C" __global__ void __launch_bounds__(THREADS, 4) leaf_offsets(
    const float* __restrict__ partial, const int* __restrict__ chosen, const double* __restrict__ mask_sum,
    double* __restrict__ offsets, float* __restrict__ offset, double* __restrict__ totals, int n_chosen, int blocks,
    int fit_offsets) {
    __shared__ double weighted_of[THREADS], square_of[THREADS];
    for (int step = 0; step < n_chosen; ++step) {
        double weighted = 0.0, square = 0.0;
        for (int b = threadIdx.x; b < blocks; b += THREADS) {
            weighted += partial[2 * ((long long)step * blocks + b)];
            square += partial[2 * ((long long)step * blocks + b) + 1];
        }
        weighted_of[threadIdx.x] = weighted;
        square_of[threadIdx.x] = square;
        __syncthreads();
        for (int half = THREADS / 2; half > 0; half /= 2) {
            if ((int)threadIdx.x < half) {
                weighted_of[threadIdx.x] += weighted_of[threadIdx.x + half];
                square_of[threadIdx.x] += square_of[threadIdx.x + half];
            }
            __syncthreads();
        }
        if (threadIdx.x == 0) {
            const int t = chosen[step];
            // A view that is masked whole has nothing to say about its offset.
            const bool fitted = fit_offsets && mask_sum[t] > 0.0;
            const double c = fitted ? weighted_of[0] / mask_sum[t] : 0.0;
            offset[step] = (float)c;
            offsets[t] -= c;
            const double left = square_of[0] - c * weighted_of[0];
            totals[0] += left < 0.0 ? 0.0 : left;  // what is not a number stays so
            totals[1] += mask_sum[t];
        }
        __syncthreads();
    }
}

// A block is N x as many columns as fit; rows [slab, t, (first, end)], those that the slab owns; lower [slab, t],
// where its vertex 0 lies among the rows; spacing by slab. Grid: blocks of pad + u + pad, views, slabs.
extern "C" __global__ void leaf_contract(
    const float* __restrict__ residual, const int* __restrict__ rows, const float* __restrict__ lower,
    const float* __restrict__ spacing, const int* __restrict__ slab_level, const int* __restrict__ row_vertex,
    const float* __restrict__ row_weight, const int* __restrict__ chosen, const float* __restrict__ mask,
    const float* __restrict__ offset, float* __restrict__ contracted, float factor, int gathered, int n_levels,
    int n_views, int n_u, int n_v, int pad) {
    const int slab = blockIdx.z, t = chosen[blockIdx.y];
    const int j = threadIdx.x, place = blockIdx.x * blockDim.y + threadIdx.y, u = place - pad;
    if (u >= n_u + pad) return;
    contracted += (((long long)slab * gridDim.y + blockIdx.y) * (n_u + 2 * pad) + place) * N + j;
    if (u < 0 || u >= n_u) {
        *contracted = 0.0f;
        return;
    }
    const long long of_slab = (long long)slab * n_views + t;
    const float at = lower[of_slab] + j * spacing[slab];
    // A row more on either side, lest rounding lose one; the comparison of vertices below decides.
    const float half_width = spacing[slab] + 0.5f;
    const int begin = max(rows[2 * of_slab], (int)floorf(at - half_width) - 1);
    const int end = min(rows[2 * of_slab + 1], (int)ceilf(at + half_width) + 2);
    const long long row = ((long long)t * n_levels + slab_level[slab]) * n_v;
    const float* line = residual + ((long long)blockIdx.y * n_u + u) * n_v;
    const float* weight = mask == nullptr ? nullptr
        : mask + ((long long)(gathered ? (int)blockIdx.y : t) * n_u + u) * n_v;
    const float c = offset == nullptr ? 0.0f : offset[blockIdx.y];
    float sum = 0.0f;
    for (int v = begin; v < end; ++v) {
        const int tap = j - row_vertex[row + v];
        if (tap < 0 || tap >= TAPS) continue;
        const float value = weight == nullptr ? line[v] - c : weight[v] * (line[v] - c);
        sum += row_weight[(row + v) * TAPS + tap] * value;
    }
    *contracted = factor * sum;
}
