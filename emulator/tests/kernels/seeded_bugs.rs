//! Kernels with one seeded bug each: the emulator must say what is wrong and where, and find nothing wrong with the repaired kernel.

use super::common::{Arg, Emulator};

const BUGS: &str = include_str!("../ptx/bugs.ptx");
const FIXED: &str = include_str!("../ptx/fixed.ptx");
const SOURCE: &str = include_str!("../ptx/bugs.cu");

/// Runs a case with the bug, which must fail saying each of `expected`, and without it, which must give `right`.
fn caught<T: PartialEq + std::fmt::Debug>(
    name: &str,
    expected: &[&str],
    right: T,
    case: impl Fn(&mut Emulator) -> Result<T, String>,
) {
    let message = case(&mut Emulator::new(BUGS)).expect_err("the bug must be found");
    for part in expected {
        assert!(message.contains(part), "{name}: `{message}` should say `{part}`");
    }
    assert!(message.starts_with(&format!("kernel {name}")), "{message}");
    assert_eq!(case(&mut Emulator::new(FIXED)), Ok(right), "{name} repaired");
}

/// The line of the CUDA source that holds `text`, as messages name it.
fn line_of(text: &str) -> String {
    let line = SOURCE.lines().position(|line| line.contains(text)).expect("the text is in the source");
    format!("(bugs.cu:{}", line + 1)
}

fn run(emulator: &mut Emulator, name: &str, blocks: u32, threads: u32, args: &[Arg]) -> Result<(), String> {
    emulator.run(name, blocks, threads, args).map(drop).map_err(|error| error.to_string())
}

fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32).collect()
}

#[test]
fn wrong_index() {
    let place = line_of("SEED(i <= n, i < n)");
    let expected = [
        "block (3, 0, 0), thread (4, 0, 0)",
        "PTX line",
        "st.global.u32",
        "past the start of an allocation of 400 bytes",
        &place,
    ];
    caught("wrong_index", &expected, vec![2.0; 100], |e| {
        let x = e.floats(&[1.0; 100]);
        run(e, "wrong_index", 4, 32, &[Arg::Pointer(x), Arg::Int(100)])?;
        Ok(e.read_floats(x, 100))
    });
}

#[test]
fn over_read() {
    let expected = [
        "thread (9, 0, 0)",
        "ld.global",
        "4 bytes at",
        "are out of bounds: 40 bytes past",
        &line_of("y[i] = x[i] + (SEED"),
    ];
    let right = (0..10).map(|i| if i < 9 { (2 * i + 1) as f32 } else { 9.0 }).collect::<Vec<_>>();
    caught("over_read", &expected, right, |e| {
        let (x, y) = (e.floats(&ramp(10)), e.empty(10));
        run(e, "over_read", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y), Arg::Int(10)])?;
        Ok(e.read_floats(y, 10))
    });
}

#[test]
fn unallocated() {
    caught("unallocated", &["address 0x10 is in no allocation", "thread (0, 0, 0)"], ramp(32), |e| {
        let (x, y) = (e.floats(&ramp(32)), e.empty(32));
        run(e, "unallocated", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y)])?;
        Ok(e.read_floats(y, 32))
    });
}

#[test]
fn use_after_free() {
    let mut e = Emulator::new(FIXED);
    let (x, y) = (e.floats(&ramp(32)), e.empty(32));
    assert!(e.memory.free(x));
    let message = run(&mut e, "unallocated", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y)]).unwrap_err();
    assert!(message.contains("was freed: 0 bytes into an allocation of 128 bytes"), "{message}");
}

#[test]
fn misaligned_vector() {
    let expected = ["is not a multiple of 16 bytes", "v4", "thread (0, 0, 0)"];
    caught("misaligned_vector", &expected, (0..4).map(|i| (16 * i + 6) as f32).collect(), |e| {
        let (x, y) = (e.floats(&ramp(32)), e.empty(4));
        run(e, "misaligned_vector", 1, 4, &[Arg::Pointer(x), Arg::Pointer(y)])?;
        Ok(e.read_floats(y, 4))
    });
}

#[test]
fn missing_barrier_before_read() {
    let expected =
        ["reads uninitialised shared memory", "no barrier after it", "thread (0, 0, 0)", "ld.shared", "(bugs.cu:41)"];
    caught("missing_barrier_before_read", &expected, (0..128).rev().map(|i| i as f32).collect::<Vec<_>>(), |e| {
        let x = e.floats(&ramp(128));
        run(e, "missing_barrier_before_read", 1, 128, &[Arg::Pointer(x)])?;
        Ok(e.read_floats(x, 128))
    });
}

#[test]
fn missing_barrier_after_read() {
    let expected = ["shared memory race", "thread 63 wrote it with no barrier between", "ld.shared"];
    let right = (0..128).rev().chain((128..256).rev()).map(|i| i as f32).collect::<Vec<_>>();
    caught("missing_barrier_after_read", &expected, right, |e| {
        let x = e.floats(&ramp(256));
        run(e, "missing_barrier_after_read", 1, 128, &[Arg::Pointer(x)])?;
        Ok(e.read_floats(x, 256))
    });
}

#[test]
fn missing_warp_barrier() {
    let right = (0..64).map(|i| (i ^ 1) as f32).collect::<Vec<_>>();
    caught("missing_warp_barrier", &["shared memory race", "thread 1 wrote it"], right, |e| {
        let x = e.floats(&ramp(64));
        run(e, "missing_warp_barrier", 1, 64, &[Arg::Pointer(x)])?;
        Ok(e.read_floats(x, 64))
    });
}

#[test]
fn early_wait() {
    let right = (0..32).map(|i| (8 * i + 128) as f32).collect::<Vec<_>>();
    caught("early_wait", &["a cp.async to it has not been waited for", "ld.shared"], right, |e| {
        let (x, y) = (e.floats(&ramp(256)), e.empty(32));
        run(e, "early_wait", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y)])?;
        Ok(e.read_floats(y, 32))
    });
}

#[test]
fn divergent_barrier() {
    caught(
        "divergent_barrier",
        &["divergent barrier", "bar.sync", "wait at another barrier, PTX line"],
        vec![1.0; 32],
        |e| {
            let x = e.floats(&[0.0; 32]);
            run(e, "divergent_barrier", 1, 32, &[Arg::Pointer(x)])?;
            Ok(e.read_floats(x, 32))
        },
    );
}

#[test]
fn uninitialised_shared() {
    caught("uninitialised_shared", &["reads uninitialised shared memory at byte 8"], vec![32.0], |e| {
        let (x, y) = (e.floats(&ramp(64)), e.empty(1));
        run(e, "uninitialised_shared", 1, 64, &[Arg::Pointer(x), Arg::Pointer(y)])?;
        Ok(e.read_floats(y, 1))
    });
}

#[test]
fn uninitialised_global() {
    caught(
        "uninitialised_global",
        &["reads uninitialised memory at", "byte 40 of an allocation of 64 bytes"],
        ramp(10),
        |e| {
            let (x, y) = (e.empty(16), e.empty(16));
            e.memory.write(x, &ramp(10).iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()).unwrap();
            run(e, "uninitialised_global", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y), Arg::Int(10)])?;
            Ok(e.read_floats(y, 10))
        },
    );
}

#[test]
fn missing_zeroing() {
    caught("missing_zeroing", &["reads uninitialised memory", "atom"], vec![2016.0], |e| {
        let (x, sum) = (e.floats(&ramp(64)), e.empty(1));
        run(e, "missing_zeroing", 1, 64, &[Arg::Pointer(x), Arg::Pointer(sum)])?;
        Ok(e.read_floats(sum, 1))
    });
}

#[test]
fn a_warp_sum_with_a_step_missing_shows_in_its_value() {
    let sum = |source| {
        let mut e = Emulator::new(source);
        let (x, y) = (e.floats(&ramp(32)), e.empty(1));
        run(&mut e, "short_warp_sum", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y)]).unwrap();
        e.read_floats(y, 1)[0]
    };
    assert_eq!(sum(BUGS), 240.0, "the even lanes only");
    assert_eq!(sum(FIXED), 496.0);
}

#[test]
fn swapped_matrix_operands_show_in_the_values() {
    let (a, b) = ((0..256).map(|i| ((i * 7) % 13) as f32 - 6.0), (0..128).map(|i| ((i * 5) % 11) as f32 - 5.0));
    let (a, b): (Vec<f32>, Vec<f32>) = (a.collect(), b.collect());
    let halves =
        |values: &[f32]| values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect::<Vec<u8>>();
    let multiply = |source| {
        let mut e = Emulator::new(source);
        let (x, y, d) = (e.upload(&halves(&a)), e.upload(&halves(&b)), e.empty(128));
        run(&mut e, "swapped_operands", 1, 32, &[Arg::Pointer(x), Arg::Pointer(y), Arg::Pointer(d)]).unwrap();
        e.read_floats(d, 128)
    };
    let element = |i: usize| (0..16).map(|k| a[i / 8 * 16 + k] * b[i % 8 * 16 + k]).sum::<f32>();
    let expected: Vec<f32> = (0..128).map(element).collect();
    assert_eq!(multiply(FIXED), expected);
    let wrong = multiply(BUGS).iter().zip(&expected).filter(|(got, expected)| got != expected).count();
    assert!(wrong > 64, "{wrong} of 128 elements differ");
}

#[test]
fn deadlock() {
    let expected =
        ["deadlock:", "16 threads wait at a warp-wide instruction, PTX line", "threads wait at a barrier, PTX line"];
    caught("deadlock", &expected, vec![1.0; 32], |e| {
        let x = e.floats(&[0.0; 32]);
        run(e, "deadlock", 1, 32, &[Arg::Pointer(x)])?;
        Ok(e.read_floats(x, 32))
    });
}

#[test]
fn write_race() {
    caught("write_race", &["shared memory race", "st.shared", "wrote it with no barrier between"], vec![5; 64], |e| {
        let x = e.empty(64);
        run(e, "write_race", 1, 64, &[Arg::Pointer(x)])?;
        Ok(e.read_words(x, 64))
    });
}

#[test]
fn shuffle_from_nobody() {
    let right = (0..32).map(|i| (i ^ 16) as f32).collect::<Vec<_>>();
    caught("shuffle_from_nobody", &["shuffle reads lane 16, which does not take part"], right, |e| {
        let x = e.floats(&ramp(32));
        run(e, "shuffle_from_nobody", 1, 32, &[Arg::Pointer(x)])?;
        Ok(e.read_floats(x, 32))
    });
}

#[test]
fn shared_out_of_bounds() {
    caught(
        "shared_out_of_bounds",
        &["4 bytes at shared address 128 are out of bounds: the block has 128"],
        ramp(32),
        |e| {
            let x = e.floats(&ramp(32));
            run(e, "shared_out_of_bounds", 1, 32, &[Arg::Pointer(x)])?;
            Ok(e.read_floats(x, 32))
        },
    );
}

#[test]
fn local_memory() {
    let case = |e: &mut Emulator| {
        let x = e.floats(&ramp(16));
        run(e, "local_memory", 1, 16, &[Arg::Pointer(x), Arg::Int(3)])?;
        Ok(e.read_floats(x, 16))
    };
    caught("local_memory", &["uses 64 bytes of local memory a thread"], vec![9.0; 16], case);
    let mut allowed = Emulator::new(BUGS);
    allowed.checks.allow_local = true;
    assert_eq!(case(&mut allowed), Ok(vec![9.0; 16]));
}

#[test]
fn endless() {
    caught("endless", &["is taken to hang"], vec![1], |e| {
        let x = e.words(&[0]);
        run(e, "endless", 1, 1, &[Arg::Pointer(x)])?;
        Ok(e.read_words(x, 1))
    });
}

#[test]
fn trapped() {
    caught("trapped", &["thread (3, 0, 0)", "the kernel trapped"], vec![1; 32], |e| {
        let x = e.empty(32);
        run(e, "trapped", 1, 32, &[Arg::Pointer(x)])?;
        Ok(e.read_words(x, 32))
    });
}

#[test]
fn into_the_gap() {
    caught("into_the_gap", &["lies in a forbidden zone, byte 128 of an allocation of 384 bytes"], vec![1.0; 32], |e| {
        let arena = e.floats(&[0.0; 96]);
        e.memory.forbid(arena + 128, 128, true).unwrap();
        run(e, "into_the_gap", 1, 32, &[Arg::Pointer(arena), Arg::Int(32)])?;
        Ok(e.read_floats(arena, 32))
    });
}
