// Lets g++ compile a CUDA source and run it, one block at a time, its threads as fibers.
//
// A fiber runs until it meets a barrier or ends; then another of its block is chosen, at random from a seed. A value that
// is read from shared memory before a barrier makes it visible is therefore sometimes there and sometimes not, and results
// that depend on it differ from seed to seed. Blocks run in random order too, and shared memory is filled with NaNs before
// each of them.
//
// What a launch can do wrong and hardware would not tell ends it with a message: threads of a block that wait at different
// barriers, and a barrier that some threads have left behind by returning.

#pragma once

#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include <algorithm>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#define __global__
#define __device__ static
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __forceinline__ inline __attribute__((always_inline))
// In a section of their own, so that all of them can be filled at once.
#define __shared__ static __attribute__((section("block_shared")))

struct dim3_ {
    unsigned x, y, z;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

static dim3_ gridDim, blockDim, blockIdx, threadIdx;

inline float __fdividef(float a, float b) { return a / b; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }

using std::max;
using std::min;

namespace on_cpu {

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct Fiber {
    ucontext_t context;
    jmp_buf at;
    bool begun = false;
    std::vector<char> stack;
    State state;
    int site;
    dim3_ thread;
#if defined(__SANITIZE_ADDRESS__)
    void* fake_stack = nullptr;
#endif
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
static jmp_buf scheduler_at;
static int current;
static void (*body)();
static const char* failure;
static float exchange[1024];
#if defined(__SANITIZE_ADDRESS__)
static void* scheduler_fake_stack;
static const void* scheduler_stack;
static size_t scheduler_stack_size;
#endif

static uint64_t random_state;
inline unsigned random_below(unsigned n) {
    random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)((random_state >> 33) % n);
}

// Contexts of ucontext.h begin a fiber; each swap of them asks the kernel twice for the signal mask, which took most of
// the time. So all switches but the first are jumps, which keep to registers. The sanitizer follows contexts alone.
inline void to_scheduler([[maybe_unused]] bool for_good) {
    Fiber& self = fibers[current];
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &self.fake_stack, scheduler_stack, scheduler_stack_size);
    swapcontext(&self.context, &scheduler);
    __sanitizer_finish_switch_fiber(self.fake_stack, nullptr, nullptr);
#else
    if (_setjmp(self.at) == 0) _longjmp(scheduler_at, 1);
#endif
}

inline void wait(State state, int site) {
    fibers[current].state = state;
    fibers[current].site = site;
    to_scheduler(false);
}

inline void run_fiber() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(nullptr, &scheduler_stack, &scheduler_stack_size);
    body();
    fibers[current].state = DONE;
    to_scheduler(true);
#else
    // The same fiber is the thread of its place in every block.
    for (;;) {
        body();
        fibers[current].state = DONE;
        to_scheduler(false);
    }
#endif
}

inline void begin(Fiber& fiber) {
    if (fiber.stack.empty()) fiber.stack.resize(64 << 10);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    makecontext(&fiber.context, run_fiber, 0);
    fiber.begun = false;
}

inline void resume(int fiber) {
    current = fiber;
    Fiber& chosen = fibers[fiber];
    threadIdx = chosen.thread;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&scheduler_fake_stack, chosen.stack.data(), chosen.stack.size());
    swapcontext(&scheduler, &chosen.context);
    __sanitizer_finish_switch_fiber(scheduler_fake_stack, nullptr, nullptr);
#else
    if (_setjmp(scheduler_at) != 0) return;
    if (chosen.begun) _longjmp(chosen.at, 1);
    chosen.begun = true;
    setcontext(&chosen.context);
#endif
}

// Lets the fibers of [begin, end) go on if all that are not done wait at the same barrier of this kind.
inline void release(State kind, int begin, int end) {
    int waiting = 0, done = 0, site = 0;
    bool same = true;
    for (int f = begin; f < end; ++f) {
        if (fibers[f].state == DONE) ++done;
        if (fibers[f].state != kind) continue;
        same = same && (waiting == 0 || fibers[f].site == site);
        site = fibers[f].site;
        ++waiting;
    }
    if (waiting == 0 || waiting + done < end - begin) return;
    if (!same) failure = "threads of a block wait at different barriers";
    if (done > 0) failure = "threads wait at a barrier that others of their block have left behind";
    for (int f = begin; f < end; ++f) {
        if (fibers[f].state == kind) fibers[f].state = READY;
    }
}

extern "C" char __start_block_shared[] __attribute__((weak));
extern "C" char __stop_block_shared[] __attribute__((weak));

inline void run_block() {
    const int n = blockDim.x * blockDim.y * blockDim.z;
    const int begun = (int)fibers.size();
    if (begun < n) fibers.resize(n);
    if (__start_block_shared != nullptr) memset(__start_block_shared, 0xff, __stop_block_shared - __start_block_shared);
    for (int f = 0; f < n; ++f) {
        Fiber& fiber = fibers[f];
#if defined(__SANITIZE_ADDRESS__)
        begin(fiber);
        fiber.fake_stack = nullptr;
#else
        if (f >= begun) begin(fiber);
#endif
        fiber.state = READY;
        fiber.thread = {f % blockDim.x, f / blockDim.x % blockDim.y, f / (blockDim.x * blockDim.y)};
    }
    std::vector<int> ready(n);
    while (failure == nullptr) {
        ready.clear();
        for (int f = 0; f < n; ++f) {
            if (fibers[f].state == READY) ready.push_back(f);
        }
        if (ready.empty()) return;
        for (size_t i = ready.size(); i > 1; --i) std::swap(ready[i - 1], ready[random_below(i)]);
        for (int f : ready) resume(f);
        for (int warp = 0; warp < n; warp += 32) release(AT_WARP_BARRIER, warp, min(warp + 32, n));
        release(AT_BLOCK_BARRIER, 0, n);
        bool any_ready = false, any_waiting = false;
        for (int f = 0; f < n; ++f) {
            any_ready = any_ready || fibers[f].state == READY;
            any_waiting = any_waiting || fibers[f].state == AT_BLOCK_BARRIER || fibers[f].state == AT_WARP_BARRIER;
        }
        if (any_waiting && !any_ready) failure = "threads of a block wait at different barriers";
    }
}

inline const char* run_grid(void (*kernel)(), const unsigned* grid, const unsigned* block, uint64_t seed) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = kernel;
    failure = nullptr;
    random_state = seed;
    std::vector<size_t> order((size_t)grid[0] * grid[1] * grid[2]);
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random_below(i)]);
    for (size_t i : order) {
        blockIdx = {(unsigned)(i % grid[0]), (unsigned)(i / grid[0] % grid[1]), (unsigned)(i / grid[0] / grid[1])};
        run_block();
        if (failure != nullptr) break;
    }
    // Fibers that were left within their block are of no use to the next launch.
    if (failure != nullptr) fibers.clear();
    return failure;
}

inline int lane_of() {
    return (threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)) % 32;
}

inline float shuffle(float value, int source, int site) {
    const int thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    const int lane = thread % 32;
    exchange[thread] = value;
    wait(AT_WARP_BARRIER, site);
    const float got = source >= 0 && source < 32 ? exchange[thread - lane + source] : value;
    wait(AT_WARP_BARRIER, -site);
    return got;
}

}  // namespace on_cpu

#define __syncthreads() on_cpu::wait(on_cpu::AT_BLOCK_BARRIER, __LINE__)
#define __syncwarp() on_cpu::wait(on_cpu::AT_WARP_BARRIER, __LINE__)
#define __shfl_down_sync(mask, value, delta) on_cpu::shuffle(value, on_cpu::lane_of() + (delta), __LINE__)
#define __shfl_xor_sync(mask, value, with) on_cpu::shuffle(value, on_cpu::lane_of() ^ (with), __LINE__)
#define __shfl_sync(mask, value, source) on_cpu::shuffle(value, source, __LINE__)

template <typename T>
inline T atomicAdd(T* at, T value) {
    const T before = *at;
    *at = before + value;
    return before;
}
