//! Finding and opening a device, and memory on it.

use super::error::CudaError;
use super::records::Work;
use bytemuck::Pod;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DriverError, result, sys,
};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::ffi::c_char;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

include!(concat!(env!("OUT_DIR"), "/images.rs"));

/// Whether this binary has kernels at all.
pub fn has_kernels() -> bool {
    !IMAGES.is_empty()
}

/// Whether the driver is the tests' emulated one.
pub fn driver_is_emulated() -> bool {
    type Reset = unsafe extern "C" fn();
    // SAFETY: the loader is asked for the library first; the function is looked up and not called.
    unsafe { sys::is_culib_present() && sys::culib().get::<Reset>(b"emulator_reset_counters\0").is_ok() }
}

/// The time of one launch.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelTime {
    /// The kernel's name.
    pub kernel: String,
    /// What the launch takes at least.
    pub work: Work,
    /// The device's time, the launch's overhead included.
    pub seconds: f64,
}

/// What this binary's kernels were compiled for, for instance `sm_80 sm_90 and PTX of compute_80`; empty without kernels.
pub fn architectures() -> &'static str {
    ARCHITECTURES
}

/// A device with the kernels loaded, and one stream on which everything happens in order.
pub struct Device {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    modules: HashMap<&'static str, Arc<CudaModule>>,
    launches: AtomicUsize,
    /// Where each kernel's time is taken.
    times: Mutex<Option<Vec<KernelTime>>>,
    functions: Mutex<HashMap<String, CudaFunction>>,
}

impl Device {
    /// Opens a device.
    ///
    /// # Errors
    /// No kernels in this binary, no driver, no such device, a driver too old for the kernels.
    pub fn open(ordinal: usize) -> Result<Arc<Self>, CudaError> {
        if !has_kernels() {
            return Err(CudaError::NoKernels);
        }
        // SAFETY: it only asks the loader for the library. Everything below panics without it.
        if !unsafe { sys::is_culib_present() } {
            return Err(CudaError::NoDriver);
        }
        let count = device_count().map_err(CudaError::during("counting devices"))?;
        if ordinal >= count {
            return Err(CudaError::NoDevice { ordinal, count });
        }
        let context = CudaContext::new(ordinal).map_err(CudaError::during("opening the device"))?;
        // SAFETY: nothing is shared between streams: there is one.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(CudaError::during("making a stream"))?;
        let loaded = IMAGES.iter().map(|&(name, image)| load(&context, name, image).map(|module| (name, module)));
        let modules = loaded.collect::<Result<_, CudaError>>()?;
        Ok(Arc::new(Device {
            context,
            stream,
            modules,
            launches: AtomicUsize::new(0),
            times: Mutex::default(),
            functions: Mutex::default(),
        }))
    }

    /// The device's name.
    ///
    /// # Errors
    /// The driver's.
    pub fn name(&self) -> Result<String, CudaError> {
        self.context.name().map_err(CudaError::during("asking for the device's name"))
    }

    /// Bytes of the device's memory: free, and all.
    ///
    /// # Errors
    /// The driver's.
    pub fn memory(&self) -> Result<(usize, usize), CudaError> {
        // Memory that was given back is free when the stream has come that far.
        self.synchronize()?;
        self.context.mem_get_info().map_err(CudaError::during("asking for free memory"))
    }

    /// CUDA's version that the driver supports, 1000 * major + 10 * minor; 0 if it does not say.
    pub fn driver_version(&self) -> i32 {
        driver_version()
    }

    /// Compute capability, major and minor.
    ///
    /// # Errors
    /// The driver's.
    pub fn compute_capability(&self) -> Result<(i32, i32), CudaError> {
        self.context.compute_capability().map_err(CudaError::during("asking for the compute capability"))
    }

    /// Bytes a second, reads and writes added up, of copies of `bytes` bytes from device memory to device memory.
    ///
    /// # Errors
    /// Out of memory; the driver's.
    pub fn copy_rate(self: &Arc<Self>, bytes: usize) -> Result<f64, CudaError> {
        const COPIES: u32 = 20;
        let failed = || CudaError::during("measuring copies");
        let (from, mut to) = (Buffer::<u8>::zeros(self, bytes)?, Buffer::<u8>::zeros(self, bytes)?);
        let mut copy = || self.stream.memcpy_dtod(&from.memory, &mut to.memory).map_err(failed());
        copy()?;
        let seconds = self.time(|| (0..COPIES).try_for_each(|_| copy()))?;
        Ok(2.0 * bytes as f64 * f64::from(COPIES) / seconds)
    }

    /// Seconds of the device's time that everything takes which `work` asks of it.
    ///
    /// # Errors
    /// Those of `work`; the driver's.
    pub fn time(&self, work: impl FnOnce() -> Result<(), CudaError>) -> Result<f64, CudaError> {
        let failed = || CudaError::during("timing");
        let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let start = self.stream.record_event(flags).map_err(failed())?;
        work()?;
        let end = self.stream.record_event(flags).map_err(failed())?;
        let milliseconds = start.elapsed_ms(&end).map_err(failed())?;
        Ok(f64::from(milliseconds) / 1e3)
    }

    /// Whether this is the tests' emulated device, whose times mean nothing.
    pub fn is_emulated(&self) -> bool {
        driver_is_emulated()
    }

    /// Waits for everything that was asked of the device.
    ///
    /// # Errors
    /// Whatever went wrong since the last time.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.stream.synchronize().map_err(CudaError::during("running kernels"))
    }

    /// What the tests' emulated device counted since it was last asked, a JSON object by kernel; `None` with a real driver.
    pub fn take_emulated_counters(&self) -> Option<String> {
        type Json = unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> usize;
        type Reset = unsafe extern "C" fn();
        // SAFETY: the driver is loaded, and what has these names has these types (emulator/src/driver/control.rs). The
        // buffer is as long as the function says it needs.
        unsafe {
            let library = sys::culib();
            let json = library.get::<Json>(b"emulator_counters_json\0").ok()?;
            let reset = library.get::<Reset>(b"emulator_reset_counters\0").ok()?;
            let mut text = vec![0u8; json(ptr::null(), ptr::null_mut(), 0)];
            json(ptr::null(), text.as_mut_ptr().cast(), text.len());
            reset();
            text.pop();
            String::from_utf8(text).ok()
        }
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    pub(super) fn count_launch(&self) {
        self.launches.fetch_add(1, Ordering::Relaxed);
    }

    /// Launches and counts, and takes the time while times are taken.
    pub(super) fn launch(
        &self,
        kernel: &str,
        work: Work,
        launch: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        self.count_launch();
        if !self.is_timing() {
            return launch();
        }
        let seconds = self.time(launch)?;
        if let Some(times) = &mut *self.lock_times() {
            times.push(KernelTime { kernel: kernel.into(), work, seconds });
        }
        Ok(())
    }

    fn lock_times(&self) -> MutexGuard<'_, Option<Vec<KernelTime>>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether each kernel's time is taken, which forbids captured steps.
    pub(super) fn is_timing(&self) -> bool {
        self.lock_times().is_some()
    }

    /// Takes the time of every kernel that `work` launches, one after the other.
    ///
    /// # Errors
    /// Those of `work`; the driver's.
    pub fn kernel_times(&self, work: impl FnOnce() -> Result<(), CudaError>) -> Result<Vec<KernelTime>, CudaError> {
        *self.lock_times() = Some(Vec::new());
        let result = work();
        let times = self.lock_times().take().unwrap_or_default();
        result.map(|()| times)
    }

    /// Kernels launched or captured so far.
    pub(super) fn launches(&self) -> usize {
        self.launches.load(Ordering::Relaxed)
    }

    /// Captures what `launch` launches; `None` if that is nothing.
    pub(super) fn capture(
        &self,
        launch: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<Option<CudaGraph>, CudaError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED;
        self.stream.begin_capture(mode).map_err(CudaError::during("capturing a step"))?;
        let launched = launch();
        // The capture ends in any case: an open one would swallow all that follows.
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = self.stream.end_capture(flags).map_err(CudaError::during("capturing a step"));
        launched.and(graph)
    }

    /// A kernel of one of the images.
    pub(super) fn function(&self, image: &str, name: &str) -> Result<CudaFunction, CudaError> {
        let mut functions = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = functions.get(name) {
            return Ok(function.clone());
        }
        let module = self.modules.get(image).ok_or_else(|| CudaError::NoKernel(name.into()))?;
        let function = module.load_function(name).map_err(|_| CudaError::NoKernel(name.into()))?;
        functions.insert(name.into(), function.clone());
        Ok(function)
    }
}

fn device_count() -> Result<usize, DriverError> {
    match result::init() {
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => Ok(0),
        Err(error) => Err(error),
        Ok(()) => Ok(usize::try_from(result::device::get_count()?).unwrap_or(0)),
    }
}

fn load(context: &Arc<CudaContext>, name: &'static str, image: &[u8]) -> Result<Arc<CudaModule>, CudaError> {
    context.load_module(Ptx::from_binary(image.to_vec())).map_err(|error| match error.0 {
        sys::CUresult::CUDA_ERROR_UNSUPPORTED_PTX_VERSION
        | sys::CUresult::CUDA_ERROR_NO_BINARY_FOR_GPU
        | sys::CUresult::CUDA_ERROR_INVALID_PTX => CudaError::ImageRefused { image: name, version: driver_version() },
        _ => CudaError::Driver { what: "loading the kernels", source: error },
    })
}

/// CUDA's version that the driver supports, 1000 * major + 10 * minor; 0 if it does not say. There is a driver.
fn driver_version() -> i32 {
    let mut version = 0;
    // SAFETY: the pointer is valid; the driver is loaded.
    match unsafe { sys::cuDriverGetVersion(&mut version) } {
        sys::CUresult::CUDA_SUCCESS => version,
        _ => 0,
    }
}

/// Numbers or records on a device.
pub struct Buffer<T> {
    device: Arc<Device>,
    memory: CudaSlice<u8>,
    length: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T> Buffer<T> {
    pub(super) fn length(&self) -> usize {
        self.length
    }

    pub(super) fn memory(&self) -> &CudaSlice<u8> {
        &self.memory
    }

    pub(super) fn device(&self) -> &Arc<Device> {
        &self.device
    }
}

impl<T: Pod> Buffer<T> {
    /// `length` elements of which all bytes are zero.
    ///
    /// # Errors
    /// Out of memory.
    pub fn zeros(device: &Arc<Device>, length: usize) -> Result<Self, CudaError> {
        // The driver knows no empty memory.
        let bytes = (length * size_of::<T>()).max(1);
        let memory = device.stream.alloc_zeros(bytes).map_err(CudaError::allocating(bytes))?;
        Ok(Buffer { device: device.clone(), memory, length, kind: std::marker::PhantomData })
    }

    /// A copy of elements.
    ///
    /// # Errors
    /// Out of memory.
    pub fn copied(device: &Arc<Device>, elements: &[T]) -> Result<Self, CudaError> {
        let mut buffer = Self::zeros(device, elements.len())?;
        buffer.write(0, elements)?;
        Ok(buffer)
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies elements to the device, from element `start` on.
    ///
    /// # Errors
    /// The driver's.
    ///
    /// # Panics
    /// If they do not fit.
    pub fn write(&mut self, start: usize, elements: &[T]) -> Result<(), CudaError> {
        if elements.is_empty() {
            return Ok(());
        }
        let range = self.bytes(start..start + elements.len());
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        let stream = &self.device.stream;
        stream.memcpy_htod(bytes, &mut self.memory.slice_mut(range)).map_err(CudaError::during("copying to the device"))
    }

    /// Copies elements from the device, when everything asked of it before is done.
    ///
    /// # Errors
    /// The driver's, or of the kernels that ran before.
    ///
    /// # Panics
    /// If there are no such elements.
    pub fn read(&self, elements: Range<usize>) -> Result<Vec<T>, CudaError> {
        if elements.is_empty() {
            return Ok(Vec::new());
        }
        let mut host = vec![T::zeroed(); elements.len()];
        let range = self.bytes(elements);
        let stream = &self.device.stream;
        stream
            .memcpy_dtoh(&self.memory.slice(range), bytemuck::cast_slice_mut::<T, u8>(&mut host))
            .map_err(CudaError::during("copying from the device"))?;
        self.device.synchronize()?;
        Ok(host)
    }

    /// Sets all bytes to zero.
    ///
    /// # Errors
    /// The driver's.
    pub fn clear(&mut self) -> Result<(), CudaError> {
        self.device.stream.memset_zeros(&mut self.memory).map_err(CudaError::during("clearing memory"))
    }

    fn bytes(&self, elements: Range<usize>) -> Range<usize> {
        assert!(elements.end <= self.length, "{elements:?} of {} elements", self.length);
        elements.start * size_of::<T>()..elements.end * size_of::<T>()
    }
}
