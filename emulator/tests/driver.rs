//! The built `libcuda.so`, driven by cudarc as a program does that knows nothing of the emulator.

use std::{
    ffi::{CString, c_char},
    path::PathBuf,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};

use cudarc::{
    driver::{CudaContext, CudaModule, CudaStream, DriverError, LaunchConfig, PushKernelArg, sys},
    nvrtc::Ptx,
};
use libloading::{Library, Symbol};

const PTX: &str = include_str!("ptx/device.ptx");
const FATBIN: &[u8] = include_bytes!("ptx/device.fatbin");

/// The emulator's library, loaded before cudarc asks for `libcuda.so`.
static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let executable = std::env::current_exe().expect("a test knows its own path");
    let folders = executable.ancestors().skip(1).take(2);
    let path: PathBuf =
        folders.map(|folder| folder.join("libcuda.so")).find(|path| path.exists()).expect("cargo built the library");
    // SAFETY: loading the library runs no code of its own.
    unsafe { Library::new(path) }.expect("the library loads")
});

/// There is one device: tests that break it must not meet others.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Device {
    context: Arc<CudaContext>,
    module: Arc<CudaModule>,
    stream: Arc<CudaStream>,
    _turn: MutexGuard<'static, ()>,
}

fn device(image: Ptx) -> Device {
    let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&LIBRARY);
    revive();
    let context = CudaContext::new(0).expect("the emulated device opens");
    let module = context.load_module(image).expect("the image loads");
    let stream = context.new_stream().expect("a stream");
    Device { context, module, stream, _turn: turn }
}

fn revive() {
    // SAFETY: the emulator's README states these signatures.
    unsafe {
        let revive: Symbol<extern "C" fn()> = LIBRARY.get(b"emulator_revive").unwrap();
        let memory: Symbol<extern "C" fn(usize)> = LIBRARY.get(b"emulator_set_memory").unwrap();
        let counters: Symbol<extern "C" fn()> = LIBRARY.get(b"emulator_reset_counters").unwrap();
        revive();
        memory(1 << 30);
        counters();
    }
}

fn last_error() -> String {
    let mut buffer = vec![0u8; 4096];
    // SAFETY: as above; the buffer has the size that is passed.
    let length = unsafe {
        let get: Symbol<extern "C" fn(*mut c_char, usize) -> usize> = LIBRARY.get(b"emulator_last_error").unwrap();
        get(buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer.truncate(length - 1);
    String::from_utf8(buffer).unwrap()
}

fn counters(kernel: &str) -> String {
    let (name, mut buffer) = (CString::new(kernel).unwrap(), vec![0u8; 4096]);
    // SAFETY: as above.
    let length = unsafe {
        let get: Symbol<extern "C" fn(*const c_char, *mut c_char, usize) -> usize> =
            LIBRARY.get(b"emulator_counters_json").unwrap();
        get(name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len())
    };
    buffer.truncate(length - 1);
    String::from_utf8(buffer).unwrap()
}

fn shape(blocks: u32, threads: u32, shared: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes: shared }
}

fn axpy(d: &Device, a: f32, x: &[f32], y: &[f32]) -> Result<Vec<f32>, DriverError> {
    let kernel = d.module.load_function("axpy")?;
    let (x_device, mut y_device, n) = (d.stream.clone_htod(x)?, d.stream.clone_htod(y)?, x.len() as i32);
    let config = shape(x.len().div_ceil(128) as u32, 128, 0);
    // SAFETY: the arguments are those of the kernel.
    unsafe { d.stream.launch_builder(&kernel).arg(&a).arg(&x_device).arg(&mut y_device).arg(&n).launch(config) }?;
    d.stream.clone_dtoh(&y_device)
}

#[test]
fn a_kernel_runs_from_text_and_from_a_fatbin() {
    let x: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let expected: Vec<f32> = x.iter().map(|x| 3.0 * x + 1.0).collect();
    for image in [Ptx::from_src(PTX), Ptx::from_binary(FATBIN.to_vec())] {
        let d = device(image);
        assert_eq!(d.context.name().unwrap(), "Emulated CUDA device");
        assert_eq!(axpy(&d, 3.0, &x, &[1.0; 1000]).unwrap(), expected);
        let counted = counters("axpy");
        assert!(counted.starts_with("{\"launches\":1,\"thread_instructions\":"), "{counted}");
        // 1000 floats are 125 sectors; each warp of the 31 full ones and the last quarter loads both arrays.
        assert!(counted.contains("\"global_load\":{\"requests\":64,\"sectors\":250,\"bytes\":8000}"), "{counted}");
        assert!(counted.contains("\"unique_read_bytes\":8000,\"unique_written_bytes\":4000"), "{counted}");
    }
}

#[test]
fn a_captured_graph_runs_again_and_again() {
    let d = device(Ptx::from_src(PTX));
    // SAFETY: one stream is used, which keeps its own order.
    unsafe { d.context.disable_event_tracking() };
    let kernel = d.module.load_function("reverse").unwrap();
    let start: Vec<f32> = (0..64).map(|i| i as f32).collect();
    let mut x = d.stream.clone_htod(&start).unwrap();
    d.stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
    // SAFETY: the arguments are those of the kernel.
    unsafe { d.stream.launch_builder(&kernel).arg(&mut x).launch(shape(1, 64, 256)) }.unwrap();
    assert!(d.stream.synchronize().is_err(), "a capture cannot be waited for");
    let graph = d
        .stream
        .end_capture(sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH)
        .unwrap()
        .unwrap();
    assert_eq!(d.stream.clone_dtoh(&x).unwrap(), start, "capturing runs nothing");
    for turn in 1..=3 {
        graph.launch().unwrap();
        let got = d.stream.clone_dtoh(&x).unwrap();
        assert_eq!(got[0], if turn % 2 == 1 { 63.0 } else { 0.0 });
    }
    assert!(counters("reverse").starts_with("{\"launches\":3,"));
}

#[test]
fn events_take_times_and_pinned_memory_copies() {
    let d = device(Ptx::from_src(PTX));
    let timed = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
    let start = d.stream.record_event(timed).unwrap();
    let mut pinned = unsafe { d.context.alloc_pinned::<f32>(64) }.unwrap();
    pinned.as_mut_slice().unwrap().fill(2.5);
    let mut x = d.stream.alloc_zeros::<f32>(64).unwrap();
    assert_eq!(d.stream.clone_dtoh(&x).unwrap(), [0.0; 64]);
    d.stream.memcpy_htod(&pinned, &mut x).unwrap();
    assert_eq!(d.stream.clone_dtoh(&x).unwrap(), [2.5; 64]);
    let end = d.stream.record_event(timed).unwrap();
    assert!(start.elapsed_ms(&end).unwrap() >= 0.0);
}

#[test]
fn a_full_device_says_so_and_goes_on() {
    let d = device(Ptx::from_src(PTX));
    // SAFETY: the emulator's README states this signature.
    unsafe { LIBRARY.get::<extern "C" fn(usize)>(b"emulator_set_memory").unwrap()(1 << 20) };
    let error = d.stream.alloc_zeros::<u8>(2 << 20).unwrap_err();
    assert_eq!(error.0, sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert!(last_error().starts_with("out of memory: 2097152 bytes requested"), "{}", last_error());
    let (free, total) = d.context.mem_get_info().unwrap();
    assert!(total == 1 << 20 && free <= total);
    assert_eq!(axpy(&d, 1.0, &[1.0; 8], &[2.0; 8]).unwrap(), [3.0; 8]);
    revive();
}

#[test]
fn a_failed_check_ends_the_device() {
    let d = device(Ptx::from_src(PTX));
    let kernel = d.module.load_function("total").unwrap();
    let x = d.stream.clone_htod(&[1f32; 32]).unwrap();
    // SAFETY: allocated for the test's purpose without being written.
    let mut sum = unsafe { d.stream.alloc::<f32>(1) }.unwrap();
    let n = 32i32;
    // SAFETY: the arguments are those of the kernel.
    let launched = unsafe { d.stream.launch_builder(&kernel).arg(&x).arg(&mut sum).arg(&n).launch(shape(1, 32, 0)) };
    assert_eq!(launched.unwrap_err().0, sys::CUresult::CUDA_ERROR_LAUNCH_FAILED);
    let message = last_error();
    assert!(message.starts_with("kernel total: block (0, 0, 0), thread (0, 0, 0), PTX line"), "{message}");
    assert!(message.contains("device.cu:") && message.contains("reads uninitialised memory"), "{message}");
    assert_eq!(d.stream.synchronize().unwrap_err().0, sys::CUresult::CUDA_ERROR_LAUNCH_FAILED);
    assert_eq!(d.stream.alloc_zeros::<f32>(1).unwrap_err().error_string().unwrap().to_string_lossy(), message);
    revive();
    assert!(d.stream.synchronize().is_ok());
}

#[test]
fn the_device_can_be_lost_after_some_launches() {
    let d = device(Ptx::from_src(PTX));
    // SAFETY: the emulator's README states this signature.
    unsafe { LIBRARY.get::<extern "C" fn(i64)>(b"emulator_lose_device_after").unwrap()(2) };
    assert!(axpy(&d, 1.0, &[1.0; 8], &[2.0; 8]).is_ok());
    assert!(axpy(&d, 1.0, &[1.0; 8], &[2.0; 8]).is_ok());
    let error = axpy(&d, 1.0, &[1.0; 8], &[2.0; 8]).unwrap_err();
    assert_eq!(error.0, sys::CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE);
    assert_eq!(last_error(), "the device was lost at the launch of axpy");
    assert!(d.context.synchronize().is_err());
    revive();
}

#[test]
fn launches_no_device_could_make_are_refused() {
    let d = device(Ptx::from_src(PTX));
    let kernel = d.module.load_function("reverse").unwrap();
    let mut x = d.stream.alloc_zeros::<f32>(1024).unwrap();
    let mut refused = |config| {
        // SAFETY: the arguments are those of the kernel.
        let error = unsafe { d.stream.launch_builder(&kernel).arg(&mut x).launch(config) }.unwrap_err();
        assert_eq!(error.0, sys::CUresult::CUDA_ERROR_INVALID_VALUE);
        last_error()
    };
    assert!(refused(shape(1, 1025, 0)).contains("at most 1024 are allowed"));
    assert!(refused(shape(0, 32, 0)).contains("grid [0, 1, 1]"));
    assert!(
        refused(shape(1, 32, 64 << 10)).contains("65536 bytes of dynamic shared memory, at most 49152 were allowed")
    );
    let attribute = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    assert!(kernel.set_attribute(attribute, 200 << 10).is_err());
    kernel.set_attribute(attribute, 64 << 10).unwrap();
    // SAFETY: the arguments are those of the kernel.
    unsafe { d.stream.launch_builder(&kernel).arg(&mut x).launch(shape(1, 32, 64 << 10)) }.unwrap();
    assert!(d.module.load_function("absent").is_err());
    assert_eq!(last_error(), "the module has no kernel `absent`");
}

#[test]
fn an_unknown_instruction_is_refused_with_its_place() {
    let ptx = ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry k()\n{\n.reg .b32 %r<2>;\nfrobnicate.b32 %r1, 3;\nret;\n}\n";
    let d = device(Ptx::from_src(ptx));
    let error = d.module.load_function("k").unwrap_err();
    assert_eq!(error.0, sys::CUresult::CUDA_ERROR_INVALID_PTX);
    assert_eq!(last_error(), "k: PTX line 7: `frobnicate.b32 %r1, 3;`: instruction `frobnicate.b32` is not supported");
}

#[test]
fn work_in_order_of_streams_reaches_each_other() {
    let d = device(Ptx::from_src(PTX));
    let other = d.context.new_stream().unwrap();
    let x = d.stream.clone_htod(&[1f32; 32]).unwrap();
    let mut sum = d.stream.alloc_zeros::<f32>(1).unwrap();
    let (kernel, n) = (d.module.load_function("total").unwrap(), 32i32);
    other.join(&d.stream).unwrap();
    // SAFETY: the arguments are those of the kernel.
    unsafe { other.launch_builder(&kernel).arg(&x).arg(&mut sum).arg(&n).launch(shape(1, 32, 0)) }.unwrap();
    assert_eq!(other.clone_dtoh(&sum).unwrap(), [32.0]);
}
