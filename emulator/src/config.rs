//! Settings from the environment, read when the driver is first used.

use crate::exec::Checks;

/// What a device has where nothing is said: 1 GiB.
const MEMORY: usize = 1 << 30;
/// Warp instructions after which a block is taken to hang.
const INSTRUCTION_LIMIT: u64 = 1 << 32;

/// Settings of the emulated device.
#[derive(Debug, Clone)]
pub struct Config {
    /// Bytes of device memory.
    pub memory: usize,
    /// Launches after which the device is lost.
    pub lose_after: Option<u64>,
    /// Kernels whose launches do nothing.
    pub skip: Vec<String>,
    pub checks: Checks,
    /// Refuse reads of global memory that nobody wrote.
    pub check_initialised: bool,
    /// Print a line for each launch.
    pub trace: bool,
}

/// A setting that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable}={value}: expected {expected}")]
pub struct ConfigError {
    variable: &'static str,
    value: String,
    expected: &'static str,
}

impl Config {
    /// Reads the settings through `variable`, e.g. from the environment.
    ///
    /// # Errors
    /// A setting has a value that cannot be understood.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        let parse = |name: &'static str, expected: &'static str, read: fn(&str) -> Option<u64>| match variable(name) {
            None => Ok(None),
            Some(value) => match read(&value) {
                Some(number) => Ok(Some(number)),
                None => Err(ConfigError { variable: name, value, expected }),
            },
        };
        if let Some(bytes) = parse("EMULATOR_MEMORY", "bytes, e.g. 64M or 2G", bytes)? {
            config.memory = bytes as usize;
        }
        let whole = |text: &str| text.parse().ok();
        config.lose_after = parse("EMULATOR_LOSE_DEVICE_AFTER", "a number of launches", whole)?;
        if let Some(limit) = parse("EMULATOR_INSTRUCTION_LIMIT", "a number of warp instructions", whole)? {
            config.checks.instruction_limit = limit;
        }
        let list = |name| variable(name).unwrap_or_default();
        config.skip = list("EMULATOR_SKIP").split(',').filter(|word| !word.is_empty()).map(String::from).collect();
        config.trace = variable("EMULATOR_TRACE").is_some_and(|value| value != "0");
        for word in variable("EMULATOR_ALLOW").unwrap_or_default().split(',').filter(|word| !word.is_empty()) {
            match word {
                "local" => config.checks.allow_local = true,
                "shared" => config.checks.shared = false,
                "uninitialised" => config.check_initialised = false,
                _ => {
                    let expected = "a list of: local, shared, uninitialised";
                    return Err(ConfigError { variable: "EMULATOR_ALLOW", value: word.into(), expected });
                }
            }
        }
        Ok(config)
    }
}

impl Default for Config {
    fn default() -> Self {
        let checks = Checks { shared: true, allow_local: false, instruction_limit: INSTRUCTION_LIMIT };
        Self { memory: MEMORY, lose_after: None, skip: Vec::new(), checks, check_initialised: true, trace: false }
    }
}

fn bytes(text: &str) -> Option<u64> {
    let shift = match text.chars().last()? {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let find = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_string());
        Config::read(find).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_take_a_suffix() {
        assert_eq!(read(&[("EMULATOR_MEMORY", "64M")]).unwrap().memory, 64 << 20);
        assert_eq!(read(&[("EMULATOR_MEMORY", "4096")]).unwrap().memory, 4096);
    }

    #[test]
    fn kernels_to_skip_are_a_list() {
        assert_eq!(read(&[("EMULATOR_SKIP", "round_f16,sgd_f32")]).unwrap().skip, ["round_f16", "sgd_f32"]);
        assert!(read(&[]).unwrap().skip.is_empty());
    }

    #[test]
    fn a_wrong_value_names_the_variable() {
        let error = read(&[("EMULATOR_MEMORY", "much")]).unwrap_err();
        assert_eq!(error, "EMULATOR_MEMORY=much: expected bytes, e.g. 64M or 2G");
        let error = read(&[("EMULATOR_ALLOW", "local,all")]).unwrap_err();
        assert_eq!(error, "EMULATOR_ALLOW=all: expected a list of: local, shared, uninitialised");
    }
}
