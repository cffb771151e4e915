// What a primal-dual iteration of total variation does beside its projections and total_variation.cu
// (tomokit/methods/voxels/tv.py).
//
// The dual y of the data term 1/2 sum m r^2 is stepped with unit step. With P the projection of the point ahead, p
// the data, m the mask and b the offsets,
//
//     y <- m (y + P - p - c) / (m + 1),     c such that sum y = 0 in each view, or 0 where offsets are held.
//
// steps.cu gives m (p - P) and the b that fits best, of which r = m (p - P - b) is the residual that is told. It
// serves here too, because c takes what b leaves: in v = y - r / m, zero where m is, for y already carries the mask,
//
//     y <- s (v - c),     s = m / (m + 1),     c = sum s v / sum s
//
// by tv_data_dual, solve_offset of the sums, and tv_data_offset. Where offsets are held the first does all.
//
// The primal step with the uphill direction g is d' = d - h, e' = d' - h with h = M^-1 g. M is diagonal in cosines,
// its eigenvalue of (k_x, k_z, k_y) being plane[k_x, k_z] + line[k_y] (tomokit/methods/voxels/preconditioner.py):
// tv_divide, between the transforms, and tv_extrapolate. Total variation is not summed in the latter: it takes d' of
// the next voxels, which are written in the same pass.
//
// Read and written: tv_data_dual 16 bytes a pixel (r, m, y; y), tv_data_offset 12 (y, m; y), tv_divide 8 a voxel,
// tv_extrapolate 16 (d, h; d, e). With total_variation.cu an iteration comes to 28 + 8 + 24 + 8 + 16 + 4 = 88 bytes a
// voxel beside projections and transforms.

#define LANES 32
#define LINES 8
#define THREADS (LANES * LINES)

#include "gpu/block_sums.cuh"

// residual m (p - P), offsets b or null, dual y, replaced by v or by the new y; squares [view, block], sums of r^2;
// weighted_sums [view, block], sums of s v, null where offsets are held. Grid: blocks of pixels, views.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tv_data_dual(
    const float* __restrict__ residual, const float* __restrict__ mask, const double* __restrict__ offsets,
    float* __restrict__ dual, float* __restrict__ squares, float* __restrict__ weighted_sums, long long pixels) {
    __shared__ float sums[THREADS];
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x, at = blockIdx.y * pixels + pixel;
    float r = 0.0f, weighted = 0.0f;
    if (pixel < pixels) {
        const float m = mask == nullptr ? 1.0f : mask[at];
        r = residual[at] - (offsets == nullptr ? 0.0f : (float)offsets[blockIdx.y] * m);
        const float v = m > 0.0f ? (dual[at] * m - r) / m : 0.0f;
        weighted = m / (m + 1.0f) * v;
        dual[at] = weighted_sums == nullptr ? weighted : v;
    }
    const long long block = (long long)blockIdx.y * gridDim.x + blockIdx.x;
    const float square = sum_of_block(r * r, sums);
    if (threadIdx.x == 0) squares[block] = square;
    if (weighted_sums == nullptr) return;
    const float weighted_sum = sum_of_block(weighted, sums);
    if (threadIdx.x == 0) weighted_sums[block] = weighted_sum;
}

// dual v, replaced by the new y; offset [view] c. Grid as tv_data_dual.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tv_data_offset(
    float* __restrict__ dual, const float* __restrict__ mask, const double* __restrict__ offset, long long pixels) {
    const long long pixel = (long long)blockIdx.x * THREADS + threadIdx.x, at = blockIdx.y * pixels + pixel;
    if (pixel >= pixels) return;
    const float m = mask == nullptr ? 1.0f : mask[at];
    dual[at] = m / (m + 1.0f) * (dual[at] - (float)offset[blockIdx.y]);
}

// spectrum [x, z, y], plane [x, z], line [y]. Grid: blocks of y, of z, and x.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tv_divide(
    float* __restrict__ spectrum, const float* __restrict__ plane, const float* __restrict__ line, int n_z, int n_y) {
    const int y = blockIdx.x * LANES + threadIdx.x, z = blockIdx.y * LINES + threadIdx.y;
    if (y >= n_y || z >= n_z) return;
    const long long row = (long long)blockIdx.z * n_z + z;
    spectrum[row * n_y + y] /= plane[row] + line[y];
}

// down h. Grid: blocks of voxels.
extern "C" __global__ void __launch_bounds__(THREADS, 4) tv_extrapolate(
    float* __restrict__ density, const float* __restrict__ down, float* __restrict__ ahead, long long voxels) {
    const long long at = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (at >= voxels) return;
    const float step = down[at], value = density[at] - step;
    density[at] = value;
    ahead[at] = value - step;
}
