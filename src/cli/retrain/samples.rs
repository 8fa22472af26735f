//! `retrain --samples`: how good the learnt distribution is. Draws of it, the best network and random networks are trained
//! long with several seeds each.

mod kept;
mod summary;

use super::super::exit::{CommandResult, End, UsageError};
use super::super::interrupt::stop_flag;
use super::super::network_source::lower;
use super::super::output::{print, print_json};
use super::super::progress::Progress;
use super::super::run_directory::RunDirectory;
use super::super::sample::{Draws, unsuitable};
use super::super::training::{LongTraining, forget_training};
use super::super::workbench::Workbench;
use super::{FOLDER, NO_CANDIDATE, RetrainArguments};
use crate::config::{ClassicalKind, Config};
use crate::oracle::OracleError;
use crate::random::{Purpose, StreamKey};
use crate::space::Architecture;
use anyhow::Context;
use kept::{Kept, Tested, Training};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use summary::Results;

/// What keeps the finished trainings, in the directory of the retrained networks.
const FILE: &str = "samples.json";

/// Networks in a group that have numbers of their own.
const MOST_NETWORKS: u64 = 1 << 32;

/// The group of the run's best network, and that of the generator's draws.
const BEST: &str = "best";
const GENERATOR: &str = "generator";

/// What is to be done.
pub(super) struct Request<'a> {
    pub arguments: &'a RetrainArguments,
    /// Networks in a group.
    pub number: u32,
    pub run: &'a RunDirectory,
    /// The run's, with what the arguments change.
    pub config: &'a Config,
    pub bench: &'a Workbench,
}

/// Networks of one origin.
struct Group {
    name: &'static str,
    networks: Vec<Network>,
}

struct Network {
    architecture: Architecture,
    /// Keys its random streams.
    candidate: u64,
}

pub(super) fn execute(request: &Request) -> CommandResult {
    let groups = request.groups()?;
    let seeds = request.seeds();
    let folder = request.arguments.out.clone().unwrap_or_else(|| request.run.path.join(FOLDER));
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut kept = Kept::open(&folder.join(FILE), &request.config.retrain)?;
    let progress = Progress::new(request.arguments.quiet, None);
    let all = groups.iter().map(|group| group.networks.len()).sum::<usize>() * seeds.len();
    let stop = stop_flag()?;
    let done = request.train(&groups, &mut kept, (&progress, all), &stop);
    progress.clear();
    if !done? {
        let (count, file) = (kept.trainings().len(), folder.join(FILE));
        return Ok(End::Interrupted(format!(
            "{} keeps {count} trainings (of {all}); the same command goes on",
            file.display()
        )));
    }
    let results = Results::new(request, &groups, &kept)?;
    if request.arguments.json {
        print_json(&results)?
    } else {
        print(&results.text())?
    }
    Ok(End::Done)
}

impl Request<'_> {
    fn seeds(&self) -> Vec<u64> {
        self.arguments.seeds.as_ref().map_or_else(|| vec![self.config.run.seed], |seeds| seeds.0.clone())
    }

    fn groups(&self) -> anyhow::Result<Vec<Group>> {
        let best = self.run.best()?;
        let best = Network { architecture: best.architecture.clone(), candidate: best.number };
        let mut groups = vec![Group { name: BEST, networks: vec![best] }];
        groups.push(self.group(GENERATOR, 0, self.draws()?));
        for kind in self.kinds()? {
            let networks = (0..u64::from(self.number)).map(|number| self.random(kind, number));
            groups.push(self.group(kind.name(), 1 + kind as u64, networks.collect::<anyhow::Result<_>>()?));
        }
        Ok(groups)
    }

    /// `number`: of the group, for the random streams of its networks.
    fn group(&self, name: &'static str, number: u64, architectures: Vec<Architecture>) -> Group {
        let candidate = |index: u64| NO_CANDIDATE - 1 - number * MOST_NETWORKS - index;
        let networks = architectures.into_iter().zip(0..);
        let networks = networks.map(|(architecture, index)| Network { architecture, candidate: candidate(index) });
        Group { name, networks: networks.collect() }
    }

    /// The first draws that `sample` gives.
    fn draws(&self) -> anyhow::Result<Vec<Architecture>> {
        let generator = self.run.generator()?;
        let mut draws = Draws::new(&generator, self.bench.space.as_ref(), self.config.run.seed);
        let (mut found, wanted) = (Vec::new(), self.number as usize);
        while found.len() < wanted {
            let samples = draws.next((wanted - found.len()) as u64).with_context(|| unsuitable(self.run))?;
            found.extend(samples.into_iter().map(|sample| sample.architecture));
        }
        Ok(found)
    }

    fn random(&self, kind: ClassicalKind, number: u64) -> anyhow::Result<Architecture> {
        let seed = self.config.run.seed;
        let key = StreamKey { seed, purpose: Purpose::UserSample, candidate: 1 + kind as u64, epoch: number };
        let drawn = self.bench.space.explore(&mut key.stream(), kind);
        drawn.with_context(|| format!("random networks of the kind {:?}", kind.name()))
    }

    /// The kinds of random networks.
    fn kinds(&self) -> anyhow::Result<Vec<ClassicalKind>> {
        let Some(names) = &self.arguments.against else {
            let mut kinds: Vec<ClassicalKind> = Vec::new();
            self.config.search.explorer.iter().for_each(|kind| {
                if !kinds.contains(kind) {
                    kinds.push(*kind);
                }
            });
            return Ok(kinds);
        };
        let names = names.iter().filter(|name| *name != "none");
        let kinds = names.map(|name| kind_of(name)).collect::<Result<Vec<_>, UsageError>>()?;
        let twice = (1..kinds.len()).find(|&index| kinds[..index].contains(&kinds[index]));
        match twice {
            Some(index) => Err(UsageError(format!("--against: {:?} is given twice", kinds[index].name())).into()),
            None => Ok(kinds),
        }
    }

    /// Makes the trainings that are not kept yet, seed by seed. `false`: stopped.
    fn train(
        &self,
        groups: &[Group],
        kept: &mut Kept,
        (progress, all): (&Progress, usize),
        stop: &AtomicBool,
    ) -> anyhow::Result<bool> {
        let mut count = 0;
        for seed in self.seeds() {
            for group in groups {
                for (number, network) in group.networks.iter().enumerate() {
                    count += 1;
                    let training = Training { group: group.name.into(), number, seed, candidate: network.candidate };
                    if kept.find(&training, &network.architecture).is_some() {
                        continue;
                    }
                    let what = format!("network {number} of {}, seed {seed} ({count} of {all})", group.name);
                    progress.training(&what, self.config.retrain.training.epochs);
                    let tested =
                        self.test(network, (seed, kept.folder()), progress, stop).with_context(|| what.clone())?;
                    let Some(tested) = tested else { return Ok(false) };
                    kept.add(training, &network.architecture, tested)?;
                    forget_training(kept.folder());
                }
            }
        }
        Ok(true)
    }

    /// Trains a network and tests it. `None`: stopped.
    fn test(
        &self,
        network: &Network,
        (seed, folder): (u64, &Path),
        progress: &Progress,
        stop: &AtomicBool,
    ) -> anyhow::Result<Option<Tested>> {
        let mut config = self.config.clone();
        config.run.seed = seed;
        let plan = lower(self.run, self.bench, &network.architecture)?;
        let training =
            LongTraining { config: &config, bench: self.bench, plan: &plan, candidate: network.candidate, folder };
        let outcome = match training.run(&mut |report| progress.epoch(&report), stop) {
            Ok(None) => return Ok(None),
            Ok(Some(trained)) => (Some(trained.test_accuracy), None, trained.seconds),
            // Others may still be trained.
            Err(error) => match error.downcast_ref::<OracleError>() {
                Some(diverged @ OracleError::Diverged { .. }) => (None, Some(diverged.to_string()), 0.0),
                _ => return Err(error),
            },
        };
        let (test_accuracy, failure, seconds) = outcome;
        Ok(Some(Tested {
            test_accuracy,
            failure,
            parameters: plan.trained_parameters(),
            multiply_adds: plan.multiply_adds(),
            seconds,
        }))
    }
}

fn kind_of(name: &str) -> Result<ClassicalKind, UsageError> {
    const KINDS: [ClassicalKind; 5] =
        [ClassicalKind::Ws, ClassicalKind::Er, ClassicalKind::Ba, ClassicalKind::Uniform, ClassicalKind::Full];
    KINDS.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names = KINDS.map(ClassicalKind::name).join(", ");
        UsageError(format!("--against: {name:?} is none of {names}, none"))
    })
}
