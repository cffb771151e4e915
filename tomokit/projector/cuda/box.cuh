// Weight of a cubic voxel on a detector pixel.
//
// Under a tilt the unit square is seen as a trapezoid of unit mass (Long, Fessler and Balter, IEEE TMI 29, 1839, 2010;
// derived in tomokit/projector/footprint.py): half top b = |c - s| / 2, ramp r = min(c, s),
// height h = 1 / max(c, s), with c = |cos|, s = |sin|. Its integral from 0 to d is
//
//     G(d) = h (m + q - q |q| / (2 r)),    m = clip(d, -b, b),    q = clip(d - m, -r, r),
//
// and a pixel at distance d from the voxel's centre has the weight G(d + 1/2) - G(d - 1/2), zero beyond
// half_width = (1 + c + s) / 2. Each view comes as eight doubles: cos, sin, offset, half_width, b, r, 1 / (2 r), h,
// where a voxel (x, z), counted from the volume's centre, lies at u = x cos - z sin + offset.

struct Box {
    float top, ramp, curve, height;
};

__device__ inline Box box_of(const double* view) {
    Box box = {(float)view[4], (float)view[5], (float)view[6], (float)view[7]};
    return box;
}

// G(d) / h.
__device__ inline float box_integral(float d, Box box) {
    const float middle = fminf(fmaxf(d, -box.top), box.top);
    const float q = fminf(fmaxf(d - middle, -box.ramp), box.ramp);
    return middle + q - box.curve * fabsf(q) * q;
}

// The weight of a voxel that counts; 0 of one that does not, such as one beyond the volume's end.
__device__ inline float box_weight(float d, Box box, bool counts) {
    return (counts ? box.height : 0.0f) * (box_integral(d + 0.5f, box) - box_integral(d - 0.5f, box));
}
