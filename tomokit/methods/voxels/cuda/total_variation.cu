// Isotropic total variation of a density [x, z, y] in its dual form (tomokit/methods/voxels/total_variation.py).
//
// With forward differences, zero where there is no next voxel,
//
//     grad d = (d[x + 1] - d, d[z + 1] - d, d[y + 1] - d),    TV(d) = sum |grad d| = max over |q| <= 1 of <q, grad d>,
//     div q = q_x - q_x[x - 1] + q_z - q_z[z - 1] + q_y - q_y[y - 1] = -grad^T q,
//
// where q has no component before the first voxel, and that of the last along its own axis is zero: it has no
// difference to follow and begins at zero. The duals of the gradient and of non-negativity, and what they give, are
//
//     q <- (q + t grad d) / max(1, |q + t grad d|)
//     r <- min(0, r + s d)                                both by variation_dual
//     out = g + w div q + a, clipped at zero if asked     variation_divergence
//     TV(d)                                               variation_value
//
// A step of q takes d of the next voxels and leaves q to the divergence of the next voxels: so the first two lines are
// one pass, the third is another, and a primal-dual step of both duals takes them once. Read and written of a voxel,
// other voxels' values being in the cache:
//
//     variation_dual         28 bytes by the gradient (d, 3 q; 3 q), and 8 by non-negativity (r; r), with the same d
//     variation_divergence   20 bytes (g, 3 q; out), and 4 where a is given
//     variation_value         4 bytes
//
// Lanes run along y. Every value is written by one thread; sums go from threads to blocks in single precision and over
// blocks in double (reductions.cu), always in the same order.

#define LANES 32
#define LINES 8
#define THREADS (LANES * LINES)
#define DEPTH 16

#include "gpu/block_sums.cuh"

// What is not a number stays so.
__device__ inline float least_of_zero_and(float value) { return value > 0.0f ? 0.0f : value; }

// q [component, x, z, y] or null; nonnegativity_dual r or null. Grid: blocks of y, of z, and x.
extern "C" __global__ void __launch_bounds__(THREADS, 4) variation_dual(
    const float* __restrict__ density, float* __restrict__ q, float* __restrict__ nonnegativity_dual, float rate,
    float nonnegativity_rate,
    int n_x, int n_z, int n_y) {
    const int y = blockIdx.x * LANES + threadIdx.x, z = blockIdx.y * LINES + threadIdx.y, x = blockIdx.z;
    if (y >= n_y || z >= n_z) return;
    const long long plane = (long long)n_z * n_y, voxels = n_x * plane, at = x * plane + (long long)z * n_y + y;
    const float here = density[at];
    // A row's neighbours are in the cache by now or soon, so both duals take the density from memory once.
    if (nonnegativity_dual != nullptr)
        nonnegativity_dual[at] = least_of_zero_and(nonnegativity_dual[at] + nonnegativity_rate * here);
    if (q == nullptr) return;
    const float a = q[at] + (x + 1 < n_x ? rate * (density[at + plane] - here) : 0.0f);
    const float b = q[voxels + at] + (z + 1 < n_z ? rate * (density[at + n_y] - here) : 0.0f);
    const float c = q[2 * voxels + at] + (y + 1 < n_y ? rate * (density[at + 1] - here) : 0.0f);
    const float shrink = 1.0f / max(1.0f, sqrtf(a * a + b * b + c * c));
    q[at] = a * shrink;
    q[voxels + at] = b * shrink;
    q[2 * voxels + at] = c * shrink;
}

// g null for out's own values; q and a may be null too. Grid as variation_dual.
extern "C" __global__ void __launch_bounds__(THREADS, 4) variation_divergence(
    const float* __restrict__ g, const float* __restrict__ q, const float* __restrict__ a, float* __restrict__ out,
    float weight, int nonnegative, int n_x, int n_z, int n_y) {
    const int y = blockIdx.x * LANES + threadIdx.x, z = blockIdx.y * LINES + threadIdx.y, x = blockIdx.z;
    if (y >= n_y || z >= n_z) return;
    const long long plane = (long long)n_z * n_y, voxels = n_x * plane, at = x * plane + (long long)z * n_y + y;
    float value = g == nullptr ? out[at] : g[at];
    if (a != nullptr) value += a[at];
    if (q != nullptr) {
        const float *q_x = q + at, *q_z = q + voxels + at, *q_y = q + 2 * voxels + at;
        float divergence = q_x[0] + q_z[0] + q_y[0];
        if (x > 0) divergence -= q_x[-plane];
        if (z > 0) divergence -= q_z[-n_y];
        if (y > 0) divergence -= q_y[-1];
        value += weight * divergence;
    }
    out[at] = nonnegative && value < 0.0f ? 0.0f : value;
}

// partial [block]: a thread goes through DEPTH voxels along x, so that there are fewer of them. Grid: blocks of y, of
// z, and of x.
extern "C" __global__ void __launch_bounds__(THREADS, 4) variation_value(
    const float* __restrict__ density, float* __restrict__ partial, int n_x, int n_z, int n_y) {
    __shared__ float sums[THREADS];
    const int y = blockIdx.x * LANES + threadIdx.x, z = blockIdx.y * LINES + threadIdx.y, begin = blockIdx.z * DEPTH;
    const long long plane = (long long)n_z * n_y;
    float sum = 0.0f;
    if (y < n_y && z < n_z) {
        long long at = begin * plane + (long long)z * n_y + y;
        float here = density[at];
        for (int x = begin; x < min(begin + DEPTH, n_x); ++x, at += plane) {
            const float next = x + 1 < n_x ? density[at + plane] : here;
            const float a = next - here;
            const float b = z + 1 < n_z ? density[at + n_y] - here : 0.0f;
            const float c = y + 1 < n_y ? density[at + 1] - here : 0.0f;
            sum += sqrtf(a * a + b * b + c * c);
            here = next;
        }
    }
    const float all = sum_of_block(sum, sums);
    const long long block = ((long long)blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
    if (threadIdx.x == 0 && threadIdx.y == 0) partial[block] = all;
}
