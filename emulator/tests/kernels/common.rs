//! Runs kernels of checked-in PTX on the emulator, below the driver interface.

use std::collections::HashMap;

use cuda::{
    counters::LaunchCounters,
    exec::{Checks, Launch, LaunchError, launch},
    lower::lower,
    memory::DeviceMemory,
    program::Kernel,
    ptx,
};

/// Checks as the driver makes them by default, with a limit that a test reaches soon.
pub const STRICT: Checks = Checks { shared: true, allow_local: false, instruction_limit: 5_000_000 };

/// A kernel argument.
#[derive(Clone, Copy)]
pub enum Arg {
    Pointer(u64),
    Int(i32),
}

/// A device with the kernels of one PTX file.
pub struct Emulator {
    pub memory: DeviceMemory,
    pub checks: Checks,
    kernels: HashMap<String, Kernel>,
}

impl Emulator {
    /// Loads PTX text.
    pub fn new(source: &str) -> Self {
        let module = ptx::parse(source).expect("the PTX is well formed");
        let mut memory = DeviceMemory::new(64 << 20);
        let mut symbols = HashMap::new();
        for variable in &module.variables {
            if variable.size > 0 && variable.storage != ptx::syntax::Storage::Shared {
                let base = memory.allocate(variable.size).expect("variables fit");
                let mut bytes = variable.initial.clone();
                bytes.resize(variable.size, 0);
                memory.write(base, &bytes).expect("variables are allocated");
                symbols.insert(variable.name.to_string(), base);
            }
        }
        let kernels = lower(&module, source, &symbols).into_iter();
        let kernels = kernels.map(|(name, kernel)| (name, kernel.expect("all instructions are known"))).collect();
        Self { memory, checks: STRICT, kernels }
    }

    /// Bytes in device memory.
    pub fn upload(&mut self, bytes: &[u8]) -> u64 {
        let base = self.memory.allocate(bytes.len()).expect("enough memory");
        self.memory.write(base, bytes).expect("just allocated");
        base
    }

    /// Words in device memory.
    pub fn words(&mut self, words: &[u32]) -> u64 {
        self.upload(&words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Floats in device memory.
    pub fn floats(&mut self, values: &[f32]) -> u64 {
        self.upload(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
    }

    /// Room for `count` words that nobody wrote.
    pub fn empty(&mut self, count: usize) -> u64 {
        self.memory.allocate(4 * count).expect("enough memory")
    }

    pub fn read_words(&mut self, address: u64, count: usize) -> Vec<u32> {
        let mut bytes = vec![0; 4 * count];
        self.memory.read(address, &mut bytes).expect("allocated");
        bytes.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect()
    }

    pub fn read_floats(&mut self, address: u64, count: usize) -> Vec<f32> {
        self.read_words(address, count).into_iter().map(f32::from_bits).collect()
    }

    /// Runs `name` on `blocks` blocks of `threads` threads.
    pub fn run(&mut self, name: &str, blocks: u32, threads: u32, args: &[Arg]) -> Result<LaunchCounters, LaunchError> {
        let kernel = &self.kernels[name];
        let mut parameters = vec![0; kernel.parameter_bytes()];
        assert_eq!(args.len(), kernel.parameters.len(), "{name} takes {} arguments", kernel.parameters.len());
        for (arg, parameter) in args.iter().zip(&kernel.parameters) {
            let bytes = match arg {
                Arg::Pointer(address) => address.to_le_bytes().to_vec(),
                Arg::Int(value) => value.to_le_bytes().to_vec(),
            };
            parameters[parameter.offset..parameter.offset + parameter.size].copy_from_slice(&bytes);
        }
        self.run_with(name, [blocks, 1, 1], [threads, 1, 1], parameters)
    }

    /// Runs `name` with a parameter buffer.
    pub fn run_with(
        &mut self,
        name: &str,
        grid: [u32; 3],
        block: [u32; 3],
        parameters: Vec<u8>,
    ) -> Result<LaunchCounters, LaunchError> {
        let request = Launch { grid, block, dynamic_shared: 0, parameters };
        launch(&self.kernels[name], &mut self.memory, &request, self.checks)
    }
}
