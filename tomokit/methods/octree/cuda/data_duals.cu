// The duals of the data: one image y for each view (tomokit/methods/octree/primal_dual.py).
//
// With r - c the residual of a view at its best offset (leaf_rows.cu), m its mask and sigma the step,
//
//     y' = share (y + sigma (r - c)) - shift share,    share = m / (m + sigma)
//
// where shift is such that sum y' = 0 in each view, or 0 where offsets are held: data_dual_sums, data_dual_shift, and
// data_dual_step, which leaves the change y' - y where the residual was. Read and written: 12 bytes a pixel (r, m, y)
// by the first and 20 (r, m, y; r, y) by the last.
//
// Arrays of images: residual and change [step, pixel] of the step's views; dual and mask [t, pixel] of all, mask null
// where every pixel counts. `chosen` lists the views of the step.

#define THREADS 256

#include "gpu/block_sums.cuh"

// share (y + sigma (r - c)), and the share alone.
__device__ inline float stepped_dual(float dual, float residual, float mask, float sigma, float* share) {
    *share = mask / (mask + sigma);
    return (mask * dual + sigma * (mask * residual)) / (mask + sigma);
}

// partial [step, block]: sums of y' before its shift. Grid: blocks of pixels, views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_sums(
    const float* __restrict__ residual, const float* __restrict__ mask, const float* __restrict__ dual,
    const float* __restrict__ offset, const int* __restrict__ chosen, float* __restrict__ partial, float sigma,
    long long pixels) {
    __shared__ float sums[THREADS];
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x;
    const long long at = chosen[blockIdx.y] * pixels + pixel;
    float value = 0.0f, share;
    if (pixel < pixels) {
        const float r = residual[blockIdx.y * pixels + pixel] - offset[blockIdx.y];
        value = stepped_dual(dual[at], r, mask == nullptr ? 1.0f : mask[at], sigma, &share);
    }
    const float sum = sum_of_block(value, sums);
    if (threadIdx.x == 0) partial[(long long)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// shift [step] from the sums of its blocks and share_sum [t], the sum of the view's shares; 0 of a view that is masked
// whole. Grid: views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_shift(
    const float* __restrict__ partial, const int* __restrict__ chosen, const double* __restrict__ share_sum,
    float* __restrict__ shift, int blocks) {
    __shared__ double sums[THREADS];
    double sum = 0.0;
    for (int block = threadIdx.x; block < blocks; block += THREADS)
        sum += (double)partial[(long long)blockIdx.x * blocks + block];
    const double all = sum_of_block(sum, sums), shares = share_sum[chosen[blockIdx.x]];
    if (threadIdx.x == 0) shift[blockIdx.x] = shares > 0.0 ? (float)(all / shares) : 0.0f;
}

// shift null where offsets are held. Grid as data_dual_sums.
extern "C" __global__ void __launch_bounds__(THREADS, 4) data_dual_step(
    float* __restrict__ residual, const float* __restrict__ mask, float* __restrict__ dual,
    const float* __restrict__ offset, const float* __restrict__ shift, const int* __restrict__ chosen, float sigma,
    long long pixels) {
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (pixel >= pixels) return;
    const long long at = chosen[blockIdx.y] * pixels + pixel, here = blockIdx.y * pixels + pixel;
    const float before = dual[at], r = residual[here] - offset[blockIdx.y];
    float share;
    float value = stepped_dual(before, r, mask == nullptr ? 1.0f : mask[at], sigma, &share);
    if (shift != nullptr) value -= shift[blockIdx.y] * share;
    residual[here] = value - before;
    dual[at] = value;
}
