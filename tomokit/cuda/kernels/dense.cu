// Line integrals of a voxel grid and their transpose, both as gathers.
//
// volume [x, z, y], stack [tilt, u, y]. A voxel column (x, z) meets few detector columns u with weights that do not
// depend on y (box.cuh):
//
//     stack[t, u, :] = sum_{x, z} w_t(u - u_t(x, z)) volume[x, z, :],    u_t = x cos - z sin + offset,
//     volume[x, z, :] = sum_t sum_u w_t(u - u_t(x, z)) stack[t, u, :].
//
// Lanes run along y, so rows are read whole, and a weight is the same in all lanes. Weights are therefore computed
// once, by one thread each, for CHUNK steps of the loop at a time, and kept in shared memory; positions are taken in
// double precision, since in single a pixel a thousand columns out would be off by 1e-4.
//
// Forward. A block owns COLUMNS detector columns of one view, 32 ROWS values along y. The loop runs over the axis
// that the ray crosses slowly (z below 45 degrees, x above). On the other one the voxels within reach follow each
// other at u-distances of max(c, s), so that there are at most floor((1 + c + s) / max(c, s)) + 1 <= 4 of them.
//
// Adjoint. A block owns COLUMNS voxel columns along x. The loop runs over views; each meets at most
// floor(1 + c + s) + 1 = 3 detector columns.
//
// Every value is written by one thread, which adds in the order of the loop: the same bits at each run.
//
// Defines: ROWS, values along y that a thread holds. A block is 32 x COLUMNS threads.

#define LANES 32
#define COLUMNS 8
#define CHUNK 32

#include "box.cuh"

__device__ inline void add_row(float sum[ROWS], float weight, const float* __restrict__ row, int y, int n_y) {
    if (weight == 0.0f) return;  // the same in all lanes
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        if (y + r * LANES < n_y) sum[r] += weight * row[y + r * LANES];
    }
}

__device__ inline void store_row(float* __restrict__ row, const float sum[ROWS], int y, int n_y) {
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        if (y + r * LANES < n_y) row[y + r * LANES] = sum[r];
    }
}

// Grid: blocks of y, of u, and views.
extern "C" __global__ void __launch_bounds__(256, 4) dense_project(
    const float* __restrict__ volume, const double* __restrict__ views, float* __restrict__ stack,
    int n_x, int n_z, int n_y, int n_u) {
    __shared__ float4 weights[COLUMNS][CHUNK];
    __shared__ int firsts[COLUMNS][CHUNK];
    const double* view = views + 8 * (long long)blockIdx.z;
    const double cosine = view[0], sine = view[1], offset = view[2], reach = view[3];
    const Box box = box_of(view);
    const bool along_x = fabs(cosine) >= fabs(sine);
    const int n_in = along_x ? n_x : n_z, n_out = along_x ? n_z : n_x;
    const double step_in = along_x ? cosine : -sine, step_out = along_x ? -sine : cosine;
    const long long row_in = (along_x ? n_z : 1) * (long long)n_y, row_out = (along_x ? 1 : n_z) * (long long)n_y;
    const int u = blockIdx.y * COLUMNS + threadIdx.y;
    const int y = blockIdx.x * LANES * ROWS + threadIdx.x;
    float sum[ROWS] = {};
    for (int begin = 0; begin < n_out; begin += CHUNK) {
        __syncthreads();
        const int out = begin + threadIdx.x;
        // How far u lies from the centre of voxel 0 along the inner axis.
        const double d = u - offset - (out - 0.5 * (n_out - 1)) * step_out + 0.5 * (n_in - 1) * step_in;
        const int first = (int)ceil(d / step_in - reach / fabs(step_in));
        float w[4];
#pragma unroll
        for (int k = 0; k < 4; ++k) {
            const int in = first + k;
            w[k] = in >= 0 && in < n_in && out < n_out ? box_weight((float)(d - in * step_in), box) : 0.0f;
        }
        weights[threadIdx.y][threadIdx.x] = make_float4(w[0], w[1], w[2], w[3]);
        firsts[threadIdx.y][threadIdx.x] = first;
        __syncthreads();
        const int end = min(CHUNK, n_out - begin);
        for (int c = 0; c < end; ++c) {
            const float4 weight = weights[threadIdx.y][c];
            const long long at = firsts[threadIdx.y][c] * row_in + (begin + c) * row_out;
            add_row(sum, weight.x, volume + at, y, n_y);
            add_row(sum, weight.y, volume + at + row_in, y, n_y);
            add_row(sum, weight.z, volume + at + 2 * row_in, y, n_y);
            add_row(sum, weight.w, volume + at + 3 * row_in, y, n_y);
        }
    }
    if (u < n_u) store_row(stack + ((long long)blockIdx.z * n_u + u) * n_y, sum, y, n_y);
}

// Grid: blocks of y, of x, and z.
extern "C" __global__ void __launch_bounds__(256, 4) dense_backproject(
    const float* __restrict__ stack, const double* __restrict__ views, float* __restrict__ volume,
    int n_views, int n_x, int n_z, int n_y, int n_u) {
    __shared__ float4 weights[COLUMNS][CHUNK];
    __shared__ int firsts[COLUMNS][CHUNK];
    const int x = blockIdx.y * COLUMNS + threadIdx.y, z = blockIdx.z;
    const int y = blockIdx.x * LANES * ROWS + threadIdx.x;
    float sum[ROWS] = {};
    for (int begin = 0; begin < n_views; begin += CHUNK) {
        __syncthreads();
        const int t = begin + threadIdx.x;
        if (t < n_views) {
            const double* view = views + 8 * (long long)t;
            const Box box = box_of(view);
            const double at = (x - 0.5 * (n_x - 1)) * view[0] - (z - 0.5 * (n_z - 1)) * view[1] + view[2];
            const int first = (int)floor(at - view[3]) + 1;
            float w[3];
#pragma unroll
            for (int k = 0; k < 3; ++k) {
                const int u = first + k;
                w[k] = u >= 0 && u < n_u ? box_weight((float)(u - at), box) : 0.0f;
            }
            weights[threadIdx.y][threadIdx.x] = make_float4(w[0], w[1], w[2], 0.0f);
            firsts[threadIdx.y][threadIdx.x] = first;
        }
        __syncthreads();
        const int end = min(CHUNK, n_views - begin);
        for (int c = 0; c < end; ++c) {
            const float4 weight = weights[threadIdx.y][c];
            const long long at = ((begin + c) * (long long)n_u + firsts[threadIdx.y][c]) * n_y;
            add_row(sum, weight.x, stack + at, y, n_y);
            add_row(sum, weight.y, stack + at + n_y, y, n_y);
            add_row(sum, weight.z, stack + at + 2 * (long long)n_y, y, n_y);
        }
    }
    if (x < n_x) store_row(volume + ((long long)x * n_z + z) * n_y, sum, y, n_y);
}

// Moves each view along y by its own shift, rows shared linearly: out[y] = (1 - f) in[y - w] + f in[y - w - 1] with the
// whole part w and the fraction f of the shift; what lies outside counts as zero. Grid: blocks of y, u, views.
extern "C" __global__ void shift_rows(
    const float* __restrict__ stack, const int* __restrict__ whole, const float* __restrict__ fraction,
    float* __restrict__ shifted, int n_u, int n_in, int n_out) {
    const int y = blockIdx.x * blockDim.x + threadIdx.x;
    if (y >= n_out) return;
    const int t = blockIdx.z;
    const long long row = (long long)t * n_u + blockIdx.y;
    const int upper = y - whole[t], lower = upper - 1;
    float value = 0.0f;
    if (upper >= 0 && upper < n_in) value += (1.0f - fraction[t]) * stack[row * n_in + upper];
    if (lower >= 0 && lower < n_in) value += fraction[t] * stack[row * n_in + lower];
    shifted[row * n_out + y] = value;
}
