//! kill -9 at random moments: the resumed run is the uninterrupted one, bit for bit.

use crate::support::{FILES, REPRODUCIBLE, Workplace, bytes, command, read};
use graphpnas_fast::random::{Purpose, StreamKey};
use graphpnas_fast::store::fingerprint;
use rand::RngExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Names the number of kills.
const KILLS: &str = "GRAPHPNAS_KILLS";

struct Killed {
    place: Workplace,
    /// Time of an uninterrupted run.
    time: Duration,
    left: usize,
}

impl Killed {
    fn start(&self, out: &str, threads: &str) -> Child {
        let (config, out) = (self.place.config(), self.place.arg(out));
        command(&["run", &config, "--out", &out, "--resume", "--quiet", "--threads", threads])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Lets a run be killed until it comes to its end, or no kills are left.
    fn run(&mut self, out: &str, random: &mut impl rand::Rng) {
        loop {
            let mut child = self.start(out, ["1", "2"][self.left % 2]);
            if self.left > 0 {
                std::thread::sleep(self.time.mul_f64(random.random_range(0.0..1.0)));
                if child.try_wait().unwrap().is_none() {
                    child.kill().unwrap();
                    child.wait().unwrap();
                    self.left -= 1;
                    continue;
                }
            }
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{out}: {}", String::from_utf8_lossy(&output.stderr));
            return;
        }
    }
}

#[test]
fn a_run_killed_at_random_moments_ends_like_an_uninterrupted_one() {
    let kills = std::env::var(KILLS).map_or(20, |text| text.parse().expect("GRAPHPNAS_KILLS is a number"));
    let place = Workplace::new();
    let start = Instant::now();
    place.run("whole", &["--threads", "1", "--quiet"]);
    let mut killed = Killed { place, time: start.elapsed(), left: kills };
    let mut random = StreamKey { seed: 1, purpose: Purpose::UserSample, candidate: 0, epoch: 0 }.stream();
    let mut round = 0;
    while killed.left > 0 {
        let name = format!("killed-{round}");
        killed.run(&name, &mut random);
        assert_same(&killed.place.path("whole"), &killed.place.path(&name));
        round += 1;
    }
}

fn assert_same(whole: &Path, killed: &Path) {
    assert_eq!(fingerprint(&read(whole)), fingerprint(&read(killed)), "{}", killed.display());
    for name in REPRODUCIBLE {
        assert!(bytes(whole, name) == bytes(killed, name), "{}: {name}", killed.display());
    }
    let found: Vec<String> =
        killed.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let unfinished = found.iter().find(|name| name.ends_with(".part") || name.ends_with(".new"));
    assert!(FILES.iter().all(|name| found.iter().any(|n| n == name)) && unfinished.is_none(), "{found:?}");
}
