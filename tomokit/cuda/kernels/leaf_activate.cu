// Densities of values that come from the host, rho = s(v): a fit that goes on from a state then has the bits of one
// that was not stopped, whose densities were computed here too.
//
// A thread owns a vertex. Grid: blocks of columns, leaves; a block is N x COLUMNS threads.
//
// Defines: N; COLUMNS.

#include "activation.cuh"

extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) leaf_activate(
    const float* __restrict__ values, float* __restrict__ density, int activation, float parameter) {
    const int column = blockIdx.x * COLUMNS + threadIdx.y;
    if (column >= N * N) return;
    const long long at = (long long)blockIdx.y * (N * N * N) + column * N + threadIdx.x;
    density[at] = activate(activation, parameter, values[at]);
}
