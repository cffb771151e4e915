// From stored values v to densities rho = s(v), and the slope s'(v) (tomokit/activation/functions.py):
//
//     squareplus  rho = (v + sqrt(v^2 + b)) / 2,   s' = rho / sqrt(v^2 + b)
//                 for v < 0, where that cancels, rho = b / (2 (sqrt(v^2 + b) + |v|))
//     softplus    rho = ln(1 + e^(beta v)) / beta,  s' = 1 / (1 + e^(-beta v))
//     identity    rho = v
//
// fmaf by name, so that every kernel gives the same bits for the same value, whatever its compiler contracts. Densities
// are rounded exactly, as on the CPU: from a uniform start neighbours differ by rounding alone, and the sign of that
// difference is the gradient of the total variation. Slopes are computed by fast math (gpu/fast_math.cuh).
//
// After fast_math.cuh.

#define SQUAREPLUS 0
#define SOFTPLUS 1
#define IDENTITY 2

__device__ inline float activate(int kind, float parameter, float v) {
    if (kind == SQUAREPLUS) {
        const float whole = fabsf(v) + sqrtf(fmaf(v, v, parameter));
        return v >= 0.0f ? 0.5f * whole : 0.5f * parameter / whole;
    }
    if (kind == SOFTPLUS) {
        const float x = parameter * v;
        return (fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)))) / parameter;
    }
    return v;
}

__device__ inline float activation_slope(int kind, float parameter, float v) {
    if (kind == SQUAREPLUS) {
        const float square = fmaf(v, v, parameter), inverse = inverse_root(square);
        const float whole = fabsf(v) + square * inverse;
        return (v >= 0.0f ? 0.5f * whole : quotient(0.5f * parameter, whole)) * inverse;
    }
    if (kind == SOFTPLUS) {
        const float x = parameter * v, small = expf(-fabsf(x));
        return quotient(x >= 0.0f ? 1.0f : small, 1.0f + small);
    }
    return 1.0f;
}
