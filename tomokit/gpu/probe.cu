// What a device is tried with before it is trusted: y[i] = scale x[i] + i, for i below n.
//
// One thread takes one element. With quarters and small whole numbers the result is exact in single precision.

extern "C" __global__ void probe(const float* x, float* y, float scale, int n)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        y[i] = scale * x[i] + (float)i;
    }
}
