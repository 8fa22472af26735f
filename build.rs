//! Compiles `kernels/*.cu` with nvcc and embeds the images. Without nvcc the binary has no kernels and says so when asked
//! for CUDA.
//!
//! `CUDA_KERNELS=require` makes a build without kernels fail. `GRAPHPNAS_CUDA_ARCH=80,90` narrows the architectures.

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Architectures that get machine code, if the compiler knows them; the lowest gets PTX too, for all later ones.
const ARCHITECTURES: [u32; 6] = [80, 86, 89, 90, 100, 120];

/// Uncompressed, so that the tests' emulated device can read the PTX; line information costs nothing at run time.
const FLAGS: [&str; 6] =
    ["-std=c++17", "-O3", "--fatbin", "--no-compress", "-lineinfo", "-Xptxas=-v,-warn-spills,-warn-lmem-usage"];

const WATCHED: [&str; 8] = [
    "CUDA_KERNELS",
    "GRAPHPNAS_CUDA_ARCH",
    "NVCC",
    "CUDA_HOME",
    "CUDA_PATH",
    "VIRTUAL_ENV",
    "PATH",
    "NVCC_PREPEND_FLAGS",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=kernels");
    WATCHED.iter().for_each(|name| println!("cargo::rerun-if-env-changed={name}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let (images, architectures) = compile_all(&out).unwrap_or_else(|reason| {
        if env::var("CUDA_KERNELS").as_deref() == Ok("require") {
            panic!("CUDA_KERNELS=require, but {reason}");
        }
        println!("cargo::warning=built without CUDA kernels: {}", reason.lines().next().unwrap_or_default());
        Default::default()
    });
    let list: String =
        images.iter().map(|(name, path)| format!("    ({name:?}, include_bytes!({path:?})),\n")).collect();
    let text = format!(
        "/// Name and image of every file of kernels.\nconst IMAGES: &[(&str, &[u8])] = &[\n{list}];\n\
         /// What they were compiled for.\nconst ARCHITECTURES: &str = {architectures:?};\n"
    );
    fs::write(out.join("images.rs"), text).expect("OUT_DIR is writable");
}

/// Every file of kernels with its image, and the architectures they are for; or why there are none.
fn compile_all(out: &Path) -> Result<(Vec<(String, PathBuf)>, String), String> {
    let nvcc = find_nvcc().ok_or(
        "nvcc was not found (set NVCC or CUDA_HOME, or install nvidia-cuda-nvcc and nvidia-cuda-cccl with pip into .venv-cuda)",
    )?;
    let compiler = Compiler::new(nvcc)?;
    let sources = sources().map_err(|error| format!("kernels: {error}"))?;
    let images = sources.iter().map(|source| compiler.image(source, out)).collect::<Result<_, _>>()?;
    Ok((images, compiler.architectures))
}

/// The files of kernels, with what their images depend on.
fn sources() -> io::Result<Vec<Source>> {
    let mut paths: Vec<PathBuf> = fs::read_dir("kernels")?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let (mut headers, mut sources) = (String::new(), Vec::new());
    for path in paths {
        let (stem, extension) = (path.file_stem().unwrap_or_default(), path.extension().unwrap_or_default());
        match extension.to_str() {
            Some("cuh") => headers += &fs::read_to_string(&path)?,
            Some("cu") => {
                let (name, text) = (stem.to_string_lossy().into_owned(), fs::read_to_string(&path)?);
                sources.push(Source { name, path, text });
            }
            _ => {}
        }
    }
    sources.iter_mut().for_each(|source| source.text += &headers);
    Ok(sources)
}

struct Source {
    name: String,
    path: PathBuf,
    /// Its own and all headers'.
    text: String,
}

struct Compiler {
    nvcc: PathBuf,
    version: String,
    /// All machine code is made from the PTX of the lowest architecture: what the emulated device executes.
    target: String,
    /// For people.
    architectures: String,
}

impl Compiler {
    fn new(nvcc: PathBuf) -> Result<Self, String> {
        let version = run(Command::new(&nvcc).arg("--version"))?;
        let known = run(Command::new(&nvcc).arg("--list-gpu-arch"))?;
        let known = |arch: &u32| known.lines().any(|line| line.trim() == format!("compute_{arch}"));
        let wanted = match env::var("GRAPHPNAS_CUDA_ARCH") {
            Ok(list) => parse_architectures(&list)?,
            Err(_) => ARCHITECTURES.into_iter().filter(known).collect(),
        };
        let lowest = wanted.iter().min().ok_or("nvcc knows none of the architectures from sm_80 on")?;
        let codes: String = wanted.iter().map(|arch| format!(",sm_{arch}")).collect();
        let target = format!("-gencode=arch=compute_{lowest},code=[compute_{lowest}{codes}]");
        let names: Vec<String> = wanted.iter().map(|arch| format!("sm_{arch}")).collect();
        let architectures = format!("{} and PTX of compute_{lowest}", names.join(" "));
        Ok(Compiler { nvcc, version, target, architectures })
    }

    /// Compiles a file, unless an earlier build has compiled the same text with the same compiler. What the assembler says
    /// of registers and memory is kept beside the image.
    fn image(&self, source: &Source, out: &Path) -> Result<(String, PathBuf), String> {
        let mut hash = DefaultHasher::new();
        (&source.text, &self.version, &self.target, FLAGS).hash(&mut hash);
        let image = out.join(format!("{}-{:016x}.fatbin", source.name, hash.finish()));
        if !image.is_file() {
            remove_earlier(&source.name, out);
            let part = image.with_extension("part");
            let jobs = env::var("NUM_JOBS").unwrap_or_else(|_| "1".into());
            let mut command = Command::new(&self.nvcc);
            command.args(FLAGS).args([&self.target, "--threads", &jobs, "-o"]).arg(&part).arg(&source.path);
            let log = run(&mut command)?;
            fs::write(image.with_extension("ptxas"), log).map_err(|error| error.to_string())?;
            fs::rename(&part, &image).map_err(|error| error.to_string())?;
        }
        Ok((source.name.clone(), image))
    }
}

fn parse_architectures(list: &str) -> Result<Vec<u32>, String> {
    let parse = |part: &str| part.trim().parse().ok().filter(|arch| *arch >= 80);
    let all: Option<Vec<u32>> = list.split(',').map(parse).collect();
    all.ok_or_else(|| format!("GRAPHPNAS_CUDA_ARCH={list:?} is not a list of numbers from 80 on, such as 80,90"))
}

/// Removes the images of a file's earlier text.
fn remove_earlier(name: &str, out: &Path) {
    for entry in fs::read_dir(out).into_iter().flatten().flatten() {
        let file = entry.file_name();
        if file.to_string_lossy().strip_prefix(name).is_some_and(|rest| rest.starts_with('-')) {
            // One that stays does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What a command prints, or why it failed.
fn run(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(text.into_owned());
    }
    let error = text.lines().find(|line| line.contains("error") || line.contains("fatal")).unwrap_or("it failed");
    Err(format!("{program}: {error}\n{text}"))
}

/// NVCC, CUDA_HOME, CUDA_PATH, PATH, a wheel in VIRTUAL_ENV or ./.venv-cuda, the usual folders.
fn find_nvcc() -> Option<PathBuf> {
    if let Some(nvcc) = env::var_os("NVCC") {
        return Some(nvcc.into());
    }
    let homes = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(env::var_os).map(|home| Path::new(&home).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let environments = env::var_os("VIRTUAL_ENV").map(PathBuf::from).into_iter().chain([PathBuf::from(".venv-cuda")]);
    let usual = ["/usr/local/cuda/bin", "/opt/cuda/bin", "/usr/lib/nvidia-cuda-toolkit/bin"];
    homes
        .chain(env::split_paths(&path))
        .chain(environments.flat_map(|environment| wheel_folders(&environment)))
        .chain(usual.map(PathBuf::from))
        .map(|folder| folder.join(format!("nvcc{}", env::consts::EXE_SUFFIX)))
        .find(|nvcc| nvcc.is_file())
}

/// The folders of a Python environment where NVIDIA's wheels put programs.
fn wheel_folders(environment: &Path) -> Vec<PathBuf> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries(environment.join("lib"))
        .flat_map(|python| entries(python.join("site-packages/nvidia")))
        .map(|toolkit| toolkit.join("bin"))
        .collect()
}
