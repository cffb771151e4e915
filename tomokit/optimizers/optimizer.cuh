// One step of a built-in optimizer on one value (tomokit/optimizers/kernel.py). With gradient g and learning rate l:
//
//     SGD      u <- m u + g,  x <- x - l u;  without momentum x <- x - l g
//     RMSprop  q <- a q + (1 - a) g^2,  x <- x - l g / (sqrt(q) + eps)
//     Adam     u <- b1 u + (1 - b1) g,  q <- b2 q + (1 - b2) g^2,  x <- x - l' u / (sqrt(q unbias) + eps),
//              l' = l / (1 - b1^t), unbias = 1 / (1 - b2^t)
//
// hyper: l (of Adam l'), m or b1, 1 - b1, a or b2, 1 - a or 1 - b2, eps, unbias; rounded once, from double precision.
//
// first and second are u and q of all values, [at] of this one; null where a rule has none. A value's thread alone
// reads and writes them.
//
// After fast_math.cuh.

#define SGD 0
#define RMSPROP 1
#define ADAM 2

__device__ inline float optimize(
    int kind, const float* __restrict__ hyper, float x, float g, float* __restrict__ first, float* __restrict__ second,
    int at) {
    // The same for all threads of a launch, so that no warp takes two branches.
    if (kind == SGD) {
        float u = g;
        if (first != nullptr) {
            u += hyper[1] * first[at];
            first[at] = u;
        }
        return x - hyper[0] * u;
    }
    const float q = hyper[3] * second[at] + hyper[4] * g * g;
    second[at] = q;
    if (kind == RMSPROP) return x - quotient(hyper[0] * g, root_of(q) + hyper[5]);
    const float u = hyper[1] * first[at] + hyper[2] * g;
    first[at] = u;
    return x - quotient(hyper[0] * u, root_of(q * hyper[6]) + hyper[5]);
}
