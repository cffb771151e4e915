// The penalty of kernels.py on a GPU: the same formulas, a thread for each vertex in place of loops over leaves.
//
// With u a leaf's block of Q^3 vertices (halo.cu), W = N + 2 the vertices along an edge that patches of the leaf touch,
// and o an offset of the search window,
//
//     s(i, o) = mean over the 3^3 patch of (u[i + k] - u[i + o + k])^2,     w = (h^2 / (h^2 + s))^2     compare
//     L(p, o) = 2 factor / 27 (sum of w over patches that p is in) (u[p] - u[p + o])                    differentiate
//     slope[r] = sum over o of L(r, o) - L(r - o, o)                                                    collect
//
// What the CPU adds to two places is gathered here by the one that owns it: nothing is added to by two threads, and
// sums have a fixed order. Sums over patches march along x: a plane of squares lies in shared memory, its sums over
// 3 x 3 in registers for three planes.
//
// Defines: N, vertices along a leaf's edge; MARGIN, the largest offset and one more. A block is THREADS threads, or
// WIDE x HIGH.

#define THREADS 256
#define WIDE 32
#define HIGH 8
#define W (N + 2)
#define Q (N + 2 * MARGIN)
#define TILES_Y ((W + WIDE - 3) / (WIDE - 2))

__device__ inline float sum_of_nine(const float plane[HIGH][WIDE]) {
    float sum = 0.0f;
    for (int z = -1; z <= 1; ++z) {
        const float* row = plane[threadIdx.y + z] + threadIdx.x;
        sum += (row[-1] + row[0]) + row[1];
    }
    return sum;
}

// Whether a thread is not of the tile's rim, which is there for its neighbours only.
__device__ inline bool is_inner() {
    return threadIdx.x > 0 && threadIdx.x < WIDE - 1 && threadIdx.y > 0 && threadIdx.y < HIGH - 1;
}

// weights [batch, offset, N, N, N], and partial [leaves, all offsets, tiles]: sums of the penalty. A pair of patches
// that extends to where there is no leaf is left out. Grid: tiles, offsets from `first` on, batch.
extern "C" __global__ void __launch_bounds__(WIDE* HIGH, 4) compare(
    const float* __restrict__ blocks, const float* __restrict__ present, const int* __restrict__ offsets,
    float* __restrict__ weights, float* __restrict__ partial, float limit, int begin, int first, int n_offsets) {
    __shared__ float squares[HIGH][WIDE], gaps[HIGH][WIDE], sums[HIGH][WIDE];
    const int* o = offsets + 3 * (first + blockIdx.y);
    const int away = (o[0] * Q + o[1]) * Q + o[2];
    // In the W^3 vertices that patches touch.
    const int z = blockIdx.x / TILES_Y * (HIGH - 2) + threadIdx.y, y = blockIdx.x % TILES_Y * (WIDE - 2) + threadIdx.x;
    const bool there = z < W && y < W, patch = is_inner() && z <= N && y <= N;
    const long long block = (long long)blockIdx.z * (Q * Q * Q);
    const long long out = ((long long)blockIdx.z * gridDim.y + blockIdx.y) * (N * N * N);
    float plane_0 = 0.0f, plane_1 = 0.0f, gap_0 = 0.0f, gap_1 = 0.0f, value = 0.0f;
    for (int x = 0; x < W; ++x) {
        float apart = 0.0f, gap = 0.0f;
        if (there) {
            const long long at = block + ((MARGIN - 1 + x) * Q + MARGIN - 1 + z) * Q + MARGIN - 1 + y;
            apart = blocks[at] - blocks[at + away];
            gap = 1.0f - present[at] * present[at + away];
        }
        __syncthreads();
        squares[threadIdx.y][threadIdx.x] = apart * apart;
        gaps[threadIdx.y][threadIdx.x] = gap;
        __syncthreads();
        if (!patch) continue;
        const float plane_2 = sum_of_nine(squares), gap_2 = sum_of_nine(gaps);
        if (x >= 2) {
            const float s = (plane_0 + plane_1 + plane_2) / 27.0f;
            const float usable = gap_0 + gap_1 + gap_2 == 0.0f ? 1.0f : 0.0f;
            const float alike = usable * (limit / (limit + s));
            value += s * alike;
            weights[out + ((x - 2) * N + z - 1) * N + y - 1] = alike * alike;
        }
        plane_0 = plane_1, plane_1 = plane_2;
        gap_0 = gap_1, gap_1 = gap_2;
    }
    sums[threadIdx.y][threadIdx.x] = value;
    for (int half = HIGH / 2; half > 0; half /= 2) {
        __syncthreads();
        if ((int)threadIdx.y < half) sums[threadIdx.y][threadIdx.x] += sums[threadIdx.y + half][threadIdx.x];
    }
    for (int half = WIDE / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y == 0 && (int)threadIdx.x < half) sums[0][threadIdx.x] += sums[0][threadIdx.x + half];
    }
    if (threadIdx.x == 0 && threadIdx.y == 0) {
        const long long row = (long long)(begin + blockIdx.z) * n_offsets + first + blockIdx.y;
        partial[row * gridDim.x + blockIdx.x] = sums[0][0];
    }
}

// pair_gradients [batch, offset, W, W, W]: L(p, o) from the weights; slope_factor is 2 factor / 27. Grid as in compare.
extern "C" __global__ void __launch_bounds__(WIDE* HIGH, 4) differentiate(
    const float* __restrict__ blocks, const float* __restrict__ weights, const int* __restrict__ offsets,
    float* __restrict__ pair_gradients, float slope_factor, int first) {
    __shared__ float plane[HIGH][WIDE];
    const int* o = offsets + 3 * (first + blockIdx.y);
    const int away = (o[0] * Q + o[1]) * Q + o[2];
    const int z = blockIdx.x / TILES_Y * (HIGH - 2) + threadIdx.y - 1;
    const int y = blockIdx.x % TILES_Y * (WIDE - 2) + threadIdx.x - 1;
    const bool mine = is_inner() && z < W && y < W;
    // Patches are counted by their middle, one less along each axis than the vertices they touch.
    const bool patch = z >= 1 && z <= N && y >= 1 && y <= N;
    const long long block = (long long)blockIdx.z * (Q * Q * Q);
    const long long of_offset = (long long)blockIdx.z * gridDim.y + blockIdx.y;
    float plane_0 = 0.0f, plane_1 = 0.0f;
    for (int x = 0; x < W; ++x) {
        const float weight = patch && x < N ? weights[of_offset * (N * N * N) + (x * N + z - 1) * N + y - 1] : 0.0f;
        __syncthreads();
        plane[threadIdx.y][threadIdx.x] = weight;
        __syncthreads();
        if (!mine) continue;
        const float plane_2 = sum_of_nine(plane);
        const long long at = block + ((MARGIN - 1 + x) * Q + MARGIN - 1 + z) * Q + MARGIN - 1 + y;
        const float spread = plane_0 + plane_1 + plane_2;
        pair_gradients[of_offset * (W * W * W) + (x * W + z) * W + y] =
            slope_factor * spread * (blocks[at] - blocks[at + away]);
        plane_0 = plane_1, plane_1 = plane_2;
    }
}

__device__ inline float pair_gradient_at(const float* __restrict__ pair_gradients, int x, int z, int y) {
    const bool inside = x >= 0 && x < W && z >= 0 && z < W && y >= 0 && y < W;
    return inside ? pair_gradients[(x * W + z) * W + y] : 0.0f;
}

// slopes [batch, Q, Q, Q] (+)= the gradient by each vertex of a block, over the offsets at hand; `add` is 0 for the
// first of them. Grid: vertices of a block, batch.
extern "C" __global__ void __launch_bounds__(THREADS, 4) collect(
    const float* __restrict__ pair_gradients, const int* __restrict__ offsets, float* __restrict__ slopes, int first,
    int count, int add) {
    const int inside = blockIdx.x * THREADS + threadIdx.x;
    if (inside >= Q * Q * Q) return;
    const int x = inside / (Q * Q) - MARGIN + 1, z = inside / Q % Q - MARGIN + 1, y = inside % Q - MARGIN + 1;
    const long long at = (long long)blockIdx.y * (Q * Q * Q) + inside;
    float sum = add ? slopes[at] : 0.0f;
    for (int i = 0; i < count; ++i) {
        const int* o = offsets + 3 * (first + i);
        const float* of_offset = pair_gradients + ((long long)blockIdx.y * count + i) * (W * W * W);
        // Once as the vertex that the offset is taken from, once as the one that it leads to.
        sum += pair_gradient_at(of_offset, x, z, y);
        sum -= pair_gradient_at(of_offset, x - o[0], z - o[1], y - o[2]);
    }
    slopes[at] = sum;
}
