// Weight of a cubic voxel on a detector pixel.
//
// Under a tilt the unit square is seen as a trapezoid of unit mass: half top b = |c - s| / 2, ramp r = min(c, s),
// height h = 1 / max(c, s), with c = |cos|, s = |sin|. Its integral from 0 to d is
//
//     G(d) = sign(d) h (min(|d|, b) + q - q^2 / (2 r)),    q = clip(|d| - b, 0, r),
//
// and a pixel at distance d from the voxel's centre has the weight G(d + 1/2) - G(d - 1/2), zero beyond
// reach = (1 + c + s) / 2. Each view comes as eight doubles: cos, sin, offset, reach, b, r, 1 / (2 r), h, where a voxel
// (x, z), counted from the volume's centre, lies at u = x cos - z sin + offset.

struct Box {
    float top, ramp, curve, height;
};

__device__ inline Box box_of(const double* view) {
    Box box = {(float)view[4], (float)view[5], (float)view[6], (float)view[7]};
    return box;
}

__device__ inline float box_integral(float d, Box box) {
    const float a = fabsf(d);
    const float q = fminf(fmaxf(a - box.top, 0.0f), box.ramp);
    return copysignf(box.height * (fminf(a, box.top) + q - box.curve * q * q), d);
}

__device__ inline float box_weight(float d, Box box) {
    return box_integral(d + 0.5f, box) - box_integral(d - 0.5f, box);
}
