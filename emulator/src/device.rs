//! The state of the emulated device: what is allocated, loaded, captured and counted, and whether it still answers.

use std::{
    alloc::Layout,
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::{
    config::Config,
    counters::Counters,
    driver::status::{Answer, Status},
    exec::{self, Launch, fault::FaultKind},
    memory::DeviceMemory,
    program::Kernel,
};

/// A handle as the driver interface shows it.
pub type Handle = usize;

/// A loaded module.
pub struct Module {
    /// Kernels by name; for one that cannot run, why.
    pub kernels: HashMap<String, Result<Arc<Kernel>, String>>,
    /// Global and constant variables: address and size.
    pub variables: HashMap<String, (u64, usize)>,
}

/// A kernel with the attributes a program set on it.
pub struct Function {
    pub kernel: Arc<Kernel>,
    pub max_dynamic_shared: usize,
}

/// Work in a stream.
#[derive(Clone)]
pub enum Work {
    Launch { kernel: Arc<Kernel>, request: Launch },
    CopyToDevice { to: u64, from: usize, bytes: usize },
    CopyToHost { to: usize, from: u64, bytes: usize },
    CopyOnDevice { to: u64, from: u64, bytes: usize },
    Fill { address: u64, pattern: Vec<u8>, count: usize },
    Record { event: Handle },
    Allocate { base: u64, bytes: usize },
    Free { base: u64 },
}

/// Whether a stream runs its work or records it.
#[derive(Default)]
pub enum Capture {
    #[default]
    None,
    Recording(Vec<Work>),
    /// Recorded by another stream, which this one waited for.
    Joined(Handle),
}

/// An event.
pub struct Event {
    pub timed: bool,
    pub recorded: Option<Instant>,
    /// The capture it was recorded in.
    pub capture: Option<Handle>,
}

/// The one emulated device.
pub struct Device {
    pub config: Config,
    pub memory: DeviceMemory,
    pub counters: Counters,
    pub modules: HashMap<Handle, Module>,
    pub functions: HashMap<Handle, Function>,
    pub streams: HashMap<Handle, Capture>,
    pub events: HashMap<Handle, Event>,
    pub graphs: HashMap<Handle, Arc<Vec<Work>>>,
    pub host_memory: HashMap<usize, Layout>,
    /// The error that ended the device; every later call returns it.
    pub lost: Option<Status>,
    /// The last error in words.
    pub message: String,
    launches: u64,
    next_handle: Handle,
}

static DEVICE: LazyLock<Mutex<Device>> = LazyLock::new(|| Mutex::new(Device::new()));

/// The device, for one call at a time.
pub fn device() -> MutexGuard<'static, Device> {
    DEVICE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Device {
    fn new() -> Self {
        let (config, message) = match Config::read(|name| std::env::var(name).ok()) {
            Ok(config) => (config, None),
            Err(error) => (Config::default(), Some(error.to_string())),
        };
        let mut memory = DeviceMemory::new(config.memory);
        memory.check_initialised = config.check_initialised;
        let mut device = Self {
            config,
            memory,
            counters: Counters::default(),
            modules: HashMap::new(),
            functions: HashMap::new(),
            streams: HashMap::new(),
            events: HashMap::new(),
            graphs: HashMap::new(),
            host_memory: HashMap::new(),
            lost: None,
            message: String::new(),
            launches: 0,
            next_handle: 0x100,
        };
        if let Some(message) = message {
            device.lose(Status::INVALID_VALUE, message);
        }
        device
    }

    /// A handle no other object has.
    pub fn handle(&mut self) -> Handle {
        self.next_handle += 0x10;
        self.next_handle
    }

    /// Notes an error that leaves the device usable.
    pub fn refuse<T>(&mut self, status: Status, message: impl Into<String>) -> Answer<T> {
        self.message = message.into();
        eprintln!("emulator: {}", self.message);
        Err(status)
    }

    fn lose(&mut self, status: Status, message: String) {
        self.message = message;
        self.lost = Some(status);
        eprintln!("emulator: {}", self.message);
    }

    /// Takes back the error that ended the device and any planned loss; memory and handles stay.
    pub fn reset(&mut self) {
        self.lost = None;
        self.message.clear();
        self.launches = 0;
        self.config.lose_after = None;
    }

    /// Loses the device after `launches` more launches; `None`: never.
    pub fn lose_after(&mut self, launches: Option<u64>) {
        self.config.lose_after = launches.map(|launches| self.launches + launches);
    }

    /// The stream whose capture takes the work of `stream`, if any.
    pub fn recorder(&self, stream: Handle) -> Option<Handle> {
        match self.streams.get(&stream) {
            Some(Capture::Recording(_)) => Some(stream),
            Some(Capture::Joined(origin)) => Some(*origin),
            _ => None,
        }
    }

    /// Runs work at once, or records it where its stream is being captured.
    pub fn submit(&mut self, stream: Handle, work: Work) -> Answer {
        if let Some(recorder) = self.recorder(stream)
            && let Some(Capture::Recording(recorded)) = self.streams.get_mut(&recorder)
        {
            recorded.push(work);
            return Ok(());
        }
        self.run(&work)
    }

    /// Runs one piece of work.
    pub fn run(&mut self, work: &Work) -> Answer {
        if let Some(status) = self.lost {
            return Err(status);
        }
        match *work {
            Work::Launch { ref kernel, ref request } => self.launch(kernel, request),
            Work::CopyToDevice { to, from, bytes } => {
                // SAFETY: the caller of the copy vouches for `bytes` readable bytes at `from` until the stream is synchronised.
                let source = unsafe { std::slice::from_raw_parts(from as *const u8, bytes) };
                self.memory
                    .write(to, source)
                    .or_else(|fault| self.refuse(Status::INVALID_VALUE, format!("copy to the device: {fault}")))
            }
            Work::CopyToHost { to, from, bytes } => {
                // SAFETY: the caller of the copy vouches for `bytes` writable bytes at `to` until the stream is synchronised.
                let target = unsafe { std::slice::from_raw_parts_mut(to as *mut u8, bytes) };
                self.memory
                    .read(from, target)
                    .or_else(|fault| self.refuse(Status::INVALID_VALUE, format!("copy to the host: {fault}")))
            }
            Work::CopyOnDevice { to, from, bytes } => self
                .memory
                .copy(to, from, bytes)
                .or_else(|fault| self.refuse(Status::INVALID_VALUE, format!("copy on the device: {fault}"))),
            Work::Fill { address, ref pattern, count } => self
                .memory
                .fill(address, pattern, count)
                .or_else(|fault| self.refuse(Status::INVALID_VALUE, format!("memset: {fault}"))),
            Work::Record { event } => {
                if let Some(event) = self.events.get_mut(&event) {
                    event.recorded = Some(Instant::now());
                }
                Ok(())
            }
            Work::Allocate { base, bytes } => {
                self.memory.map(base, bytes).or_else(|error| self.refuse(Status::OUT_OF_MEMORY, error.to_string()))
            }
            Work::Free { base } => match self.memory.free(base) {
                true => Ok(()),
                false => self.refuse(Status::INVALID_VALUE, format!("free: no allocation starts at {base:#x}")),
            },
        }
    }

    fn launch(&mut self, kernel: &Kernel, request: &Launch) -> Answer {
        self.launches += 1;
        if self.config.lose_after.is_some_and(|limit| self.launches > limit) {
            self.lose(Status::DEVICE_UNAVAILABLE, format!("the device was lost at the launch of {}", kernel.name));
            return Err(Status::DEVICE_UNAVAILABLE);
        }
        if self.config.skip.contains(&kernel.name) {
            return Ok(());
        }
        let start = Instant::now();
        match exec::launch(kernel, &mut self.memory, request, self.config.checks) {
            Ok(counted) => {
                self.counters.0.entry(kernel.name.clone()).or_default().add(kernel, &counted);
                if self.config.trace {
                    let [x, y, z] = request.grid;
                    eprintln!(
                        "emulator: {} <<<{x}x{y}x{z}, {:?}>>> {:.1?}",
                        kernel.name,
                        request.block,
                        start.elapsed()
                    );
                }
                Ok(())
            }
            Err(error) => {
                let status = match error.kind {
                    FaultKind::IllegalAddress => Status::ILLEGAL_ADDRESS,
                    FaultKind::MisalignedAddress => Status::MISALIGNED_ADDRESS,
                    FaultKind::LaunchFailed => Status::LAUNCH_FAILED,
                };
                self.lose(status, error.text);
                Err(status)
            }
        }
    }
}
