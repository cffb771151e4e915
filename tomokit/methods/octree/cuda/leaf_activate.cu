// Densities of values that come from the host, rho = s(v): a fit that goes on from a state then has the bits of one
// that was not stopped, whose densities were computed here too.
//
// values and density [leaf, x, z, y]; a column is a pair (x, z), and threads of a block lie along its y.
//
// Grid: blocks of columns, leaves; a block is N x COLUMNS threads and owns PASSES times as many columns.
//
// Defines: N; COLUMNS; PASSES.

#include "gpu/fast_math.cuh"
#include "activation/activation.cuh"

extern "C" __global__ void __launch_bounds__(N* COLUMNS, 4) leaf_activate(
    const float* __restrict__ values, float* __restrict__ density, int activation, float parameter) {
    const long long first = (long long)blockIdx.y * (N * N * N);
    const int begin = blockIdx.x * (COLUMNS * PASSES), end = min(begin + COLUMNS * PASSES, N * N);
    for (int column = begin + threadIdx.y; column < end; column += COLUMNS) {
        const long long at = first + column * N + threadIdx.x;
        density[at] = activate(activation, parameter, values[at]);
    }
}
