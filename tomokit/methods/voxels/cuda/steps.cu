// What SIRT and SART do between projections (tomokit/methods/voxels/sirt.py, sart.py), of some views at a time.
//
// With P the projection of the density, p the data, m the mask, b the offsets and R the rays' weights,
//
//     r = m (p - P)                                          subtract_prediction, sums of its blocks
//     b = sum r / sum m,  r <- r - b m                       solve_offset solves, weigh_residual subtracts
//     loss += sum r^2,  r <- R r                             weigh_residual
//     d <- d + omega C A^T r,  clipped at zero if asked      voxel_step; C the voxels' weights, or 1
//
// Sums go from threads to blocks in single precision and over blocks in double, always in the same order.

#define THREADS 256

#include "gpu/block_sums.cuh"

// predicted [view, pixel], replaced by r; partial [view, block]. Grid: blocks of pixels, views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) subtract_prediction(
    float* __restrict__ predicted, const float* __restrict__ data, const float* __restrict__ mask,
    float* __restrict__ partial, long long pixels) {
    __shared__ float sums[THREADS];
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x, at = blockIdx.y * pixels + pixel;
    float value = 0.0f;
    if (pixel < pixels) {
        value = data[at] - predicted[at];
        if (mask != nullptr) value *= mask[at];
        predicted[at] = value;
    }
    const float sum = sum_of_block(value, sums);
    if (threadIdx.x == 0) partial[(long long)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// Of each view the offsets; mask_sum [view]. Grid: views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) solve_offset(
    const float* __restrict__ partial, const double* __restrict__ mask_sum, double* __restrict__ offsets, int blocks) {
    __shared__ double sums[THREADS];
    double sum = 0.0;
    for (int b = threadIdx.x; b < blocks; b += THREADS) sum += partial[(long long)blockIdx.x * blocks + b];
    const double all = sum_of_block(sum, sums);
    if (threadIdx.x == 0 && mask_sum[blockIdx.x] > 0.0) offsets[blockIdx.x] = all / mask_sum[blockIdx.x];
}

// offsets [view], null if it is not fitted; squares [view, block], sums of r^2 before the rays' weights. Grid as
// subtract_prediction.
extern "C" __global__ void __launch_bounds__(THREADS, 4) weigh_residual(
    float* __restrict__ residual, const float* __restrict__ mask, const double* __restrict__ offsets,
    const float* __restrict__ ray_weight, float* __restrict__ squares, long long pixels) {
    __shared__ float sums[THREADS];
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x, at = blockIdx.y * pixels + pixel;
    float value = 0.0f;
    if (pixel < pixels) {
        const float offset = offsets == nullptr ? 0.0f : (float)offsets[blockIdx.y];
        value = residual[at] - (mask == nullptr ? offset : offset * mask[at]);
        residual[at] = value * ray_weight[at];
    }
    const float sum = sum_of_block(value * value, sums);
    if (threadIdx.x == 0) squares[(long long)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// scale: C, null for 1. Grid: blocks of voxels.
extern "C" __global__ void __launch_bounds__(THREADS, 4) voxel_step(
    float* __restrict__ density, const float* __restrict__ direction, const float* __restrict__ scale, float factor,
    int nonnegative, long long voxels) {
    const long long at = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (at >= voxels) return;
    const float weight = scale == nullptr ? factor : factor * scale[at];
    const float value = density[at] + weight * direction[at];
    density[at] = nonnegative && value < 0.0f ? 0.0f : value;  // what is not a number stays so
}
