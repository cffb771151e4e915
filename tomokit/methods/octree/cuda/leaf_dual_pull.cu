// The transposed gradient of total variation's duals, as leaf_primal_dual.cu keeps it from step to step:
//
//     p = sum over axes of q(behind) - q(here)
//
// within a leaf; duals are zero at its last vertices along their axis. Read and written once, before the first step on
// leaves that come from the host: 16 bytes a vertex.
//
// Arrays [leaf, x, z, y]. Define: N.

#define THREADS 256

// Grid: blocks of vertices of all leaves.
extern "C" __global__ void __launch_bounds__(THREADS, 4) leaf_dual_pull(
    const float* __restrict__ dual_x, const float* __restrict__ dual_z, const float* __restrict__ dual_y,
    float* __restrict__ pull, long long vertices) {
    const long long at = (long long)blockIdx.x * THREADS + threadIdx.x;
    if (at >= vertices) return;
    const int j = (int)(at % N), k = (int)(at / N % N), i = (int)(at / (N * N) % N);
    pull[at] = ((i > 0 ? dual_x[at - N * N] : 0.0f) - dual_x[at]) + ((k > 0 ? dual_z[at - N] : 0.0f) - dual_z[at])
        + ((j > 0 ? dual_y[at - 1] : 0.0f) - dual_y[at]);
}
