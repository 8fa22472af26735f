//! Names the shared library `libcuda.so`, so that a program which asks the loader for that name gets this one once it is loaded.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcuda.so");
}
