// The operations of the graph on the GPU. The NumPy versions in runtime/ define what each has to compute; the names
// are theirs. Compiled by NVRTC (cuda/compile.py), so without headers, and by g++ in the tests.
//
// Layouts: frames are uint8 (H, W, 3) RGB; maps are (H, W) at the frame's size or (h, w) at the nets', row by row;
// image is (3, h, w), patches (K, 4, 16, 16). What nets read and write is Net, half precision unless NET_FLOAT is
// defined; everything else is float. One thread makes one pixel unless a kernel says otherwise.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL extern "C" __global__ void

constexpr int PATCH = 16, PATCH_AREA = PATCH * PATCH;
constexpr float MIDDLE = (PATCH - 1) / 2.0f;  // of a cell or a patch, from its first pixel

// ---------------------------------------------------------------------------------------------- numbers and pixels

#ifdef NET_FLOAT
typedef float Net;
__device__ inline float load(const Net* p) { return *p; }
__device__ inline void store(Net* p, float value) { *p = value; }
#else
struct Net { unsigned short bits; };
#ifdef ON_HOST
__device__ inline float load(const Net* p) { return half_to_float(p->bits); }
__device__ inline void store(Net* p, float value) { p->bits = float_to_half(value); }
#else
__device__ inline float load(const Net* p) {
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(p->bits));
    return value;
}
__device__ inline void store(Net* p, float value) {
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(p->bits) : "f"(value));
}
#endif
#endif

__device__ inline int lesser(int a, int b) { return a < b ? a : b; }
__device__ inline int clamp(int i, int low, int high) { return i < low ? low : lesser(i, high); }
__device__ inline float clip(float x, float low, float high) { return fminf(fmaxf(x, low), high); }
__device__ inline float unit(float x) { return clip(x, 0.0f, 1.0f); }
__device__ inline float ramp(float x, float low, float high) { return unit((x - low) / (high - low)); }
__device__ inline float level(float x) { return clip(rintf(x), 0.0f, 255.0f); }  // the nearest of 0 ... 255
__device__ inline int across() { return blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int down() { return blockIdx.y * blockDim.y + threadIdx.y; }

// Where a pixel of one size falls between two of another, along one axis; pixels are squares, borders repeat.
struct Between {
    int first, second;
    float share;  // of the second
    __device__ Between(int at, int size, int source_size) {
        float position = (at + 0.5f) * ((float)source_size / size) - 0.5f;
        int below = (int)floorf(position);
        share = position - below;
        first = clamp(below, 0, source_size - 1);
        second = clamp(below + 1, 0, source_size - 1);
    }
    __device__ float mix(float a, float b) const { return a + share * (b - a); }
};

// Bilinear sample of f(y, x).
template <class F> __device__ inline float bilinear(Between y, Between x, F f) {
    float upper = x.mix(f(y.first, x.first), f(y.first, x.second));
    float lower = x.mix(f(y.second, x.first), f(y.second, x.second));
    return y.mix(upper, lower);
}

__device__ inline float bilinear(const float* map, int width, Between y, Between x) {
    return bilinear(y, x, [=](int row, int column) { return map[row * width + column]; });
}

// Which pixels one pixel of a smaller size covers, along one axis.
struct Covered {
    float from, to;
    int begin, end;
    __device__ Covered(int at, int size, int source_size) {
        float scale = (float)source_size / size;
        from = at * scale, to = (at + 1) * scale;
        begin = (int)floorf(from), end = lesser((int)ceilf(to), source_size);
    }
    __device__ float weight(int i) const { return fmaxf(fminf(i + 1.0f, to) - fmaxf((float)i, from), 0.0f); }
};

// The average of a picture's pixels under pixel (y, x) of a smaller size (h, w), as shrink() takes it: of a picture that
// was halved some times. Calls add(weight, row, column) for each; the weights add up to 1.
template <class Add>
__device__ inline void average_area(int y, int x, int h, int w, int height, int width, int halvings, Add add) {
    Covered rows(y, h, height >> halvings), columns(x, w, width >> halvings);
    float area = (rows.to - rows.from) * (columns.to - columns.from) * (1 << halvings) * (1 << halvings);
    for (int r = rows.begin << halvings; r < rows.end << halvings; r++)
        for (int c = columns.begin << halvings; c < columns.end << halvings; c++)
            add(rows.weight(r >> halvings) * columns.weight(c >> halvings) / area, r, c);
}

// ---------------------------------------------------------------------------------------------- preprocess

KERNEL preprocess(const u8* frame, int height, int width, Net* image, int h, int w, int halvings) {
    int x = across(), y = down();
    if (x >= w || y >= h) return;
    float rgb[3] = {0, 0, 0};
    if (height < h || width < w) {
        Between rows(y, h, height), columns(x, w, width);
        for (int c = 0; c < 3; c++)
            rgb[c] = bilinear(rows, columns, [=](int r, int s) { return (float)frame[(r * width + s) * 3 + c]; });
    } else {
        average_area(y, x, h, w, height, width, halvings, [&](float weight, int r, int s) {
            for (int c = 0; c < 3; c++) rgb[c] += weight * frame[(r * width + s) * 3 + c];
        });
    }
    for (int c = 0; c < 3; c++) store(&image[(c * h + y) * w + x], level(rgb[c]) / 255);
}

// ---------------------------------------------------------------------------------------------- fuse

// How much surer the second net is, pixel by pixel. One thread per pixel.
KERNEL compare(const Net* deviation_s, const Net* deviation_d, float* difference, int count) {
    int i = across();
    if (i < count) difference[i] = load(&deviation_s[i]) - load(&deviation_d[i]);
}

// difference: summed over boxes, which softness makes up for; alpha_d, deviation_d and difference are 0 for one net alone.
KERNEL fuse(const Net* alpha_s, const Net* deviation_s, const Net* alpha_d, const Net* deviation_d,
            const float* difference, float* alpha, float* deviation, float* doubt, int count, float softness,
            float draw) {
    int i = across();
    if (i >= count) return;
    float a = load(&alpha_s[i]), deviates = load(&deviation_s[i]), apart = 0;
    if (alpha_d) {
        float b = load(&alpha_d[i]), other = load(&deviation_d[i]);
        float weight = 1 / (1 + expf(difference[i] / softness + draw * (a - b)));
        apart = fabsf(a - b);
        a = b + weight * (a - b);
        deviates = other + weight * (deviates - other);
    }
    alpha[i] = unit(a);
    deviation[i] = unit(deviates);
    doubt[i] = fmaxf(deviation[i], apart);
}

// ---------------------------------------------------------------------------------------------- temporal

// How far each pixel's colour is from its mean in memory, in any channel. One thread per pixel, as in the next two.
KERNEL distance_to_mean(const Net* image, const float* memory, float* distance, int area) {
    int i = across();
    if (i >= area) return;
    float farthest = 0;
    for (int c = 0; c < 3; c++) farthest = fmaxf(farthest, fabsf(load(&image[c * area + i]) - memory[c * area + i]));
    distance[i] = farthest;
}

// In place of distance_to_mean where there is no mean yet: everything has moved.
KERNEL forget(float* distance, int area) {
    int i = across();
    if (i < area) distance[i] = 1;
}

// Planes of memory: colour, alpha, deviation, lasting doubt, frames.
KERNEL steady(const Net* image, const float* doubt, float* alpha, float* deviation, const float* distance, float* memory,
              int h, int w, int reach, float longest, float sure, float unsure, float lasts, float still, float moved) {
    int x = across(), y = down();
    if (x >= w || y >= h) return;
    const int area = h * w, at = y * w + x;
    float far = 0;
    for (int dy = -reach; dy <= reach; dy++)
        for (int dx = -reach; dx <= reach; dx++)
            far += distance[clamp(y + dy, 0, h - 1) * w + clamp(x + dx, 0, w - 1)];
    float stays = 1 - ramp(far / ((2 * reach + 1) * (2 * reach + 1)), still, moved);
    float* lasting = &memory[5 * area + at];
    float* frames = &memory[6 * area + at];
    bool has_past = stays > 0;  // what lies in a memory that nothing was written to must not be touched
    *frames = has_past ? fminf(stays * (*frames + 1), longest) : 0;
    *lasting = has_past ? fmaxf(doubt[at], lasts * stays * *lasting) : doubt[at];
    float leans = ramp(*lasting, sure, unsure);
    for (int plane = 0; plane < 5; plane++) {
        float* of_matte = plane == 3 ? &alpha[at] : plane == 4 ? &deviation[at] : 0;
        float seen = of_matte ? *of_matte : load(&image[plane * area + at]);
        float* mean = &memory[plane * area + at];
        *mean = has_past ? *mean + (seen - *mean) / (*frames + 1) : seen;
        if (of_matte) *of_matte += leans * (*mean - seen);
    }
}

// ---------------------------------------------------------------------------------------------- upsample

__device__ inline float luminance(const Net* image, int area, int i) {
    return 0.299f * load(&image[i]) + 0.587f * load(&image[area + i]) + 0.114f * load(&image[2 * area + i]);
}

KERNEL guided_coefficients(const Net* image, const float* alpha, float* slope, float* offset, int h, int w, int radius,
                           float edge_contrast) {
    int x = across(), y = down();
    if (x >= w || y >= h) return;
    float light = 0, lights = 0, matte = 0, product = 0;
    for (int dy = -radius; dy <= radius; dy++)
        for (int dx = -radius; dx <= radius; dx++) {
            int i = clamp(y + dy, 0, h - 1) * w + clamp(x + dx, 0, w - 1);
            float l = luminance(image, h * w, i), a = alpha[i];
            light += l, lights += l * l, matte += a, product += l * a;
        }
    float share = 1.0f / ((2 * radius + 1) * (2 * radius + 1));
    light *= share, lights *= share, matte *= share, product *= share;
    float variance = fmaxf(lights - light * light, 0.0f);
    int i = y * w + x;
    slope[i] = (product - light * matte) / (variance + edge_contrast * edge_contrast);
    offset[i] = alpha[i] - slope[i] * luminance(image, h * w, i);
}

KERNEL upsample(const u8* frame, const float* slope, const float* offset, const float* deviation_net, int h, int w,
                float* alpha, float* deviation, int height, int width) {
    int x = across(), y = down();
    if (x >= width || y >= height) return;
    Between rows(y, height, h), columns(x, width, w);
    int i = y * width + x;
    const u8* rgb = &frame[i * 3];
    int light = (rgb[0] * 9798 + rgb[1] * 19235 + rgb[2] * 3735 + (1 << 14)) >> 15;  // OpenCV's integer luminance
    float steepness = bilinear(slope, w, rows, columns);
    alpha[i] = unit(steepness * light / 255 + bilinear(offset, w, rows, columns));
    deviation[i] = bilinear(deviation_net, w, rows, columns);
}

// ---------------------------------------------------------------------------------------------- select

// Deviations in fixed point: exact above 2^-8, and its digits spread evenly, unlike those of a float.
__device__ inline u64 score(float deviation) { return (u64)(unit(deviation) * 2147483648.0f) << 32; }
__device__ inline float peak(u64 key) { return (u32)(key >> 32) / 2147483648.0f; }

// Per cell of 16x16 the middle of its deviation (y, x), and a key by which cells compare: the higher peak first, then
// the earlier cell. One thread per cell.
KERNEL find_middles(const float* deviation, int height, int width, u64* keys, float* middles, int cells, int levels) {
    int cell = across();
    if (cell >= cells) return;
    int per_row = (width + PATCH - 1) / PATCH;
    int top = cell / per_row * PATCH, left = cell % per_row * PATCH;
    float highest = 0;
    u64 total = 0, down = 0, right = 0;  // up to levels^4 * 256 * 15
    for (int y = top; y < lesser(top + PATCH, height); y++)
        for (int x = left; x < lesser(left + PATCH, width); x++) {
            float here = deviation[y * width + x];
            highest = fmaxf(highest, here);
            u64 level = (u64)(here * levels), weight = level * level * level * level;
            total += weight, down += weight * (y - top), right += weight * (x - left);
        }
    middles[2 * cell] = (float)(top + (total ? (double)down / (double)total : MIDDLE));
    middles[2 * cell + 1] = (float)(left + (total ? (double)right / (double)total : MIDDLE));
    keys[cell] = score(highest) | (0xffffffffu - cell);
}

// The K cells of the highest keys, in order, as places (K, 3): y, x, weight. One block. winners: room for K keys.
// Keys all differ, so the K-th highest is found digit by digit, most significant first, by counting (radix select).
KERNEL choose(const u64* keys, const float* middles, int cells, float least, float fade, u64* winners, float* places,
              int count) {
    __shared__ u32 digits[256], candidates, chosen, wanted;
    __shared__ u64 prefix, left_out;
    const int me = threadIdx.x, all = blockDim.x;
    const u64 lowest = score(least);  // keys below are no candidates
    if (me == 0) candidates = 0, chosen = 0, wanted = count, prefix = 0, left_out = 0;
    __syncthreads();
    u32 my_candidates = 0;
    for (int i = me; i < cells; i += all) my_candidates += keys[i] >= lowest;
    atomicAdd(&candidates, my_candidates);
    __syncthreads();
    u64 threshold = lowest;
    if (candidates > (u32)count) {
        u64 known = 0;  // bits of the threshold that are known already
        for (int shift = 56; shift >= 0; shift -= 8) {
            for (int digit = me; digit < 256; digit += all) digits[digit] = 0;
            __syncthreads();
            u64 begins = prefix;
            u32 left = wanted;
            for (int i = me; i < cells; i += all)
                if (keys[i] >= lowest && (keys[i] & known) == begins) atomicAdd(&digits[keys[i] >> shift & 255], 1u);
            __syncthreads();
            for (int digit = me; digit < 256; digit += all) {
                u32 above = 0;
                for (int higher = digit + 1; higher < 256; higher++) above += digits[higher];
                if (above < left && left <= above + digits[digit]) {  // true for one digit alone
                    prefix = begins | (u64)digit << shift;
                    wanted = left - above;
                }
            }
            known |= (u64)255 << shift;
            __syncthreads();
        }
        threshold = prefix;
    }
    u64 my_left_out = 0;
    for (int i = me; i < cells; i += all) {
        if (keys[i] >= threshold)
            winners[atomicAdd(&chosen, 1u)] = keys[i];
        else if (keys[i] > my_left_out)
            my_left_out = keys[i];
    }
    atomicMax(&left_out, my_left_out);
    __syncthreads();
    float bar = fmaxf(least, peak(left_out));
    for (int i = me; i < count; i += all) {
        if (i >= (int)chosen) {
            for (int part = 0; part < 3; part++) places[3 * i + part] = 0;
            continue;
        }
        u64 key = winners[i];
        int rank = 0;
        for (u32 other = 0; other < chosen; other++) rank += winners[other] > key;
        int cell = 0xffffffffu - (u32)key;
        places[3 * rank] = middles[2 * cell];
        places[3 * rank + 1] = middles[2 * cell + 1];
        places[3 * rank + 2] = unit((peak(key) - bar) / fade);
    }
}

// ---------------------------------------------------------------------------------------------- gather and scatter

// Where a patch around a place begins, down or across a frame of `side` pixels.
__device__ inline int corner(float place, int side) {
    return clamp((int)rintf(place - MIDDLE), 0, side > PATCH ? side - PATCH : 0);
}

// One thread per pixel of a patch.
KERNEL gather(const u8* frame, const float* alpha, int height, int width, const float* places, Net* patches,
              int count) {
    int i = across(), patch = i / PATCH_AREA, pixel = i % PATCH_AREA;
    if (patch >= count) return;
    int y = lesser(corner(places[3 * patch], height) + pixel / PATCH, height - 1);
    int x = lesser(corner(places[3 * patch + 1], width) + pixel % PATCH, width - 1);
    int at = y * width + x;
    Net* out = &patches[patch * 4 * PATCH_AREA + pixel];
    store(out, alpha[at]);
    for (int c = 0; c < 3; c++) store(out + (c + 1) * PATCH_AREA, frame[at * 3 + c] / 255.0f);
}

// A patch's weight by the way from its place, in pixels.
__device__ inline float window(float way) { return cosf(fminf(fabsf(way), PATCH / 2) * (3.14159265f / PATCH)); }

// One thread per pixel of a patch. Of the patches on a frame's pixel the first one writes what all of them change: no
// two threads write one pixel, and the order of the sum never changes.
KERNEL scatter(float* alpha, const float* deviation, int height, int width, const Net* refined, const float* places,
               int count, float sure, float unsure) {
    int i = across(), patch = i / PATCH_AREA, pixel = i % PATCH_AREA;
    if (patch >= count || places[3 * patch + 2] == 0) return;
    int y = corner(places[3 * patch], height) + pixel / PATCH, x = corner(places[3 * patch + 1], width) + pixel % PATCH;
    if (y >= height || x >= width) return;
    int at = y * width + x;
    float change = 0, total = 0;
    for (int other = 0; other < count; other++) {
        const float* place = &places[3 * other];
        int row = y - corner(place[0], height), column = x - corner(place[1], width);
        if (row < 0 || row >= PATCH || column < 0 || column >= PATCH || place[2] == 0) continue;
        if (other < patch) return;
        float weight = place[2] * window(y - place[0]) * window(x - place[1]);
        change += weight * (unit(load(&refined[other * PATCH_AREA + row * PATCH + column])) - alpha[at]);
        total += weight;
    }
    alpha[at] = unit(alpha[at] + ramp(deviation[at], sure, unsure) * change / fmaxf(total, 1.0f));
}

// ---------------------------------------------------------------------------------------------- composite

// Averages of planes (N, h, w) along one axis, N in z: over a box of this radius whose border mirrors with its edge
// (sigma 0), or by a Gaussian whose border mirrors without. Sums of weights cancel where they are divided by, so
// boxes are not normalised.
__device__ inline int mirrored(int i, int size, int edge) {
    if (size == 1) return 0;
    while (i < 0 || i >= size) i = i < 0 ? -i - edge : 2 * size - 2 + edge - i;
    return i;
}

__device__ inline float blurred(const float* line, int stride, int at, int size, int radius, float sigma) {
    float sum = 0, total = 0;
    for (int d = -radius; d <= radius; d++) {
        float weight = sigma > 0 ? expf(-0.5f * d * d / (sigma * sigma)) : 1.0f;
        sum += weight * line[mirrored(at + d, size, sigma > 0 ? 0 : 1) * stride];
        total += weight;
    }
    return sigma > 0 ? sum / total : sum;
}

KERNEL blur_rows(const float* planes, float* out, int h, int w, int radius, float sigma) {
    int x = across(), y = down(), row = (blockIdx.z * h + y) * w;
    if (x < w && y < h) out[row + x] = blurred(&planes[row], 1, x, w, radius, sigma);
}

KERNEL blur_columns(const float* planes, float* out, int h, int w, int radius, float sigma) {
    int x = across(), y = down(), plane = blockIdx.z * h * w;
    if (x < w && y < h) out[plane + y * w + x] = blurred(&planes[plane + x], w, y, h, radius, sigma);
}

__device__ inline float agree(float foreground, float background, float alpha, float seen) {
    return foreground + alpha * (seen - background - alpha * (foreground - background));
}

// F and B times their weights, and the weights: planes F0 F1 F2 wF B0 B1 B2 wB.
__device__ inline void weigh(float* planes, int area, int i, const float* front, const float* back, float a,
                             bool narrow) {
    float b = 1 - a, wf = a * a * a * a, wb = b * b * b * b;
    if (!narrow) wf *= wf, wb *= wb;
    wf += 1e-5f, wb += 1e-5f;
    for (int c = 0; c < 3; c++) {
        planes[c * area + i] = front[c] * wf;
        planes[(4 + c) * area + i] = back[c] * wb;
    }
    planes[3 * area + i] = wf;
    planes[7 * area + i] = wb;
}

// frame and alpha reduced to small (4, h, w): RGB of 0 to 255, then alpha; and weighed for the wide averages.
KERNEL weigh_wide(const u8* frame, const float* alpha, int height, int width, float* small, float* planes, int h,
                  int w, int halvings) {
    int x = across(), y = down();
    if (x >= w || y >= h) return;
    float rgb[3] = {0, 0, 0}, a = 0;
    average_area(y, x, h, w, height, width, halvings, [&](float weight, int r, int s) {
        int i = r * width + s;
        for (int c = 0; c < 3; c++) rgb[c] += weight * frame[i * 3 + c];
        a += weight * alpha[i];
    });
    int area = h * w, i = y * w + x;
    for (int c = 0; c < 3; c++) small[c * area + i] = rgb[c] = level(rgb[c]);
    small[3 * area + i] = a;
    weigh(planes, area, i, rgb, rgb, a, false);
}

// The wide averages in planes, brought to agree with small and weighed again for the narrow ones; in place.
KERNEL weigh_narrow(const float* small, float* planes, int area) {
    int i = across();
    if (i >= area) return;
    float front[3], back[3], a = small[3 * area + i];
    for (int c = 0; c < 3; c++) {
        float f = planes[c * area + i] / planes[3 * area + i];
        float b = planes[(4 + c) * area + i] / planes[7 * area + i];
        front[c] = clip(agree(f, b, a, small[c * area + i]), 0.0f, 255.0f);
        back[c] = clip(agree(b, f, 1 - a, small[c * area + i]), 0.0f, 255.0f);
    }
    weigh(planes, area, i, front, back, a, true);
}

// One thread per colour of a reduced pixel, z = 0 for F and 1 for B: averages to levels, in place.
KERNEL settle(float* planes, int area) {
    int i = across(), base = blockIdx.z * 4 * area;
    if (i >= area) return;
    float weight = planes[base + 3 * area + i];
    for (int c = 0; c < 3; c++) planes[base + c * area + i] = level(planes[base + c * area + i] / weight);
}

__device__ inline float to_light(float level) {
    float v = level / 255;
    return v <= 0.04045f ? v / 12.92f : powf((v + 0.055f) / 1.055f, 2.4f);
}

__device__ inline float from_light(float v) {
    return 255 * (v <= 0.0031308f ? v * 12.92f : 1.055f * powf(fmaxf(v, 0.0f), 1 / 2.4f) - 0.055f);
}

// planes: what settle left.
KERNEL composite(const u8* frame, const float* alpha, const u8* background, const float* planes, int h, int w, u8* out,
                 int height, int width, int linear) {
    int x = across(), y = down();
    if (x >= width || y >= height) return;
    int i = y * width + x;
    float a = alpha[i];
    bool soft = a > 1.0f / 255 && a < 254.0f / 255;
    Between rows(y, height, h), columns(x, width, w);
    for (int c = 0; c < 3; c++) {
        float seen = frame[i * 3 + c], behind = background[i * 3 + c];
        float result = a >= 254.0f / 255 ? seen : behind;
        if (soft) {
            float f = level(bilinear(&planes[c * h * w], w, rows, columns));
            float b = level(bilinear(&planes[(4 + c) * h * w], w, rows, columns));
            f = level(agree(f, b, a, seen));
            if (linear) {
                float under = to_light(behind);
                result = from_light(under + a * (to_light(f) - under));
            } else {
                result = behind + a * (f - behind);
            }
        }
        out[i * 3 + c] = (u8)level(result);
    }
}

// What is behind a frame, to be blurred: planes (4, h, w) of the pixels without foreground times their share, and the
// share; and a little of everything, for where there is nothing else.
KERNEL leave_out_foreground(const u8* frame, const float* alpha, int height, int width, float* planes, int h, int w,
                            float pure, float faint) {
    int x = across(), y = down();
    if (x >= w || y >= h) return;
    float behind[3] = {0, 0, 0}, all[3] = {0, 0, 0}, share = 0;
    average_area(y, x, h, w, height, width, 0, [&](float weight, int r, int s) {
        int i = r * width + s;
        float kept = alpha[i] <= pure ? weight : 0.0f;
        share += kept;
        for (int c = 0; c < 3; c++) behind[c] += kept * frame[i * 3 + c], all[c] += weight * frame[i * 3 + c];
    });
    int area = h * w, i = y * w + x;
    for (int c = 0; c < 3; c++) planes[c * area + i] = behind[c] + faint * all[c];
    planes[3 * area + i] = share + faint;
}

KERNEL enlarge_background(const float* planes, int h, int w, u8* background, int height, int width) {
    int x = across(), y = down();
    if (x >= width || y >= height) return;
    Between rows(y, height, h), columns(x, width, w);
    for (int c = 0; c < 3; c++) {
        float value = bilinear(rows, columns, [=](int r, int s) {
            return planes[(c * h + r) * w + s] / planes[(3 * h + r) * w + s];
        });
        background[(y * width + x) * 3 + c] = (u8)level(value);
    }
}

// ---------------------------------------------------------------------------------------------- NV12

// Luma (H, W) and chroma (ceil(H / 2), ceil(W / 2), 2), rows pitch bytes apart. red, blue: their weights in luma;
// black, gain, chroma_gain: from coded values to 0 to 255.
KERNEL nv12_to_rgb(const u8* luma, const u8* chroma, int pitch, u8* frame, int height, int width, float red, float blue,
                   float black, float gain, float chroma_gain) {
    int x = across(), y = down();
    if (x >= width || y >= height) return;
    float light = (luma[y * pitch + x] - black) * gain;
    const u8* uv = &chroma[y / 2 * pitch + x / 2 * 2];
    float r = light + 2 * (1 - red) * (uv[1] - 128.0f) * chroma_gain;
    float b = light + 2 * (1 - blue) * (uv[0] - 128.0f) * chroma_gain;
    float g = (light - red * r - blue * b) / (1 - red - blue);
    u8* out = &frame[(y * width + x) * 3];
    out[0] = (u8)level(r), out[1] = (u8)level(g), out[2] = (u8)level(b);
}

// One thread per pixel of chroma, which is of the average colour of up to four pixels.
KERNEL rgb_to_nv12(const u8* frame, int height, int width, u8* luma, u8* chroma, int pitch, float red, float blue,
                   float black, float gain, float chroma_gain) {
    int left = across() * 2, top = down() * 2;
    if (left >= width || top >= height) return;
    float light_sum = 0, r_sum = 0, b_sum = 0;
    int pixels = 0;
    for (int y = top; y < lesser(top + 2, height); y++)
        for (int x = left; x < lesser(left + 2, width); x++) {
            const u8* rgb = &frame[(y * width + x) * 3];
            float light = red * rgb[0] + (1 - red - blue) * rgb[1] + blue * rgb[2];
            luma[y * pitch + x] = (u8)level(black + light / gain);
            light_sum += light, r_sum += rgb[0], b_sum += rgb[2], pixels++;
        }
    u8* uv = &chroma[top / 2 * pitch + left];
    uv[0] = (u8)level(128 + (b_sum - light_sum) / pixels / (2 * (1 - blue) * chroma_gain));
    uv[1] = (u8)level(128 + (r_sum - light_sum) / pixels / (2 * (1 - red) * chroma_gain));
}
