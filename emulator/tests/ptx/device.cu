// Kernels for the end-to-end test and the speed figures.
#include <stdint.h>

extern "C" __global__ void axpy(float a, const float* x, float* y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}

extern "C" __global__ void reverse(float* x) {
  extern __shared__ float s[];
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = s[blockDim.x - 1 - threadIdx.x];
}

extern "C" __global__ void total(const float* x, float* sum, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) atomicAdd(sum, x[i]);
}

// C = A B with 64 x 64 tiles in shared memory, 4 x 4 sums a thread; sizes are multiples of 64 and 16.
extern "C" __global__ void __launch_bounds__(256) gemm(const float* A, const float* B, float* C, int n, int k) {
  __shared__ float a[16][64], b[16][64];
  int t = threadIdx.x, row = t / 16 * 4, column = t % 16 * 4;
  float sum[4][4] = {};
  for (int k0 = 0; k0 < k; k0 += 16) {
    float4 va = *(const float4*)(A + (size_t)(blockIdx.y * 64 + t / 4) * k + k0 + t % 4 * 4);
    a[t % 4 * 4 + 0][t / 4] = va.x, a[t % 4 * 4 + 1][t / 4] = va.y, a[t % 4 * 4 + 2][t / 4] = va.z, a[t % 4 * 4 + 3][t / 4] = va.w;
    *(float4*)&b[t / 16][t % 16 * 4] = *(const float4*)(B + (size_t)(k0 + t / 16) * n + blockIdx.x * 64 + t % 16 * 4);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < 16; i++) {
      float4 x = *(float4*)&a[i][row], y = *(float4*)&b[i][column];
      float xs[4] = {x.x, x.y, x.z, x.w}, ys[4] = {y.x, y.y, y.z, y.w};
#pragma unroll
      for (int r = 0; r < 4; r++)
#pragma unroll
        for (int c = 0; c < 4; c++) sum[r][c] += xs[r] * ys[c];
    }
    __syncthreads();
  }
  for (int r = 0; r < 4; r++)
    *(float4*)(C + (size_t)(blockIdx.y * 64 + row + r) * n + blockIdx.x * 64 + column) = make_float4(sum[r][0], sum[r][1], sum[r][2], sum[r][3]);
}
