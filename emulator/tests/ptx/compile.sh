#!/bin/sh
# Compiles the .cu files beside it to PTX: compile.sh NVCC. Paths of the machine are cut from the line information.
set -eu
nvcc=$1
cd "$(dirname "$0")"
ptx() { # ptx OUTPUT SOURCE FLAGS...
    out=$1 source=$2
    shift 2
    "$nvcc" -std=c++17 -O3 -lineinfo -arch=compute_80 --ptx "$@" -o "$out" "$source"
    sed -i -E 's|^(\t\.file\t[0-9]+ ").*/|\1|' "$out"
}
ptx bugs.ptx bugs.cu -DBUG
ptx fixed.ptx bugs.cu
ptx vectors.ptx vectors.cu
ptx device.ptx device.cu
"$nvcc" -std=c++17 -O3 --fatbin --no-compress -gencode=arch=compute_80,code=sm_80 -gencode=arch=compute_80,code=compute_80 -o device.fatbin device.cu
