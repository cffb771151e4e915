// Quotients and roots as the hardware approximates them, to two units in the last place. The exactly rounded ones take
// some ten instructions more and a branch each: in a pass that does several of them at every vertex they would take
// longer than all of its reads and writes.

__device__ inline float quotient(float a, float b) { return __fdividef(a, b); }  // of |b| < 2^126

// 1 / sqrt(x). Below 1e-37 it is that of 1e-37: finite, so that root_of(0) is 0 and not NaN.
__device__ inline float inverse_root(float x) { return rsqrtf(fmaxf(x, 1e-37f)); }

__device__ inline float root_of(float x) { return x * inverse_root(x); }
