// SPDX-License-Identifier: MIT OR Apache-2.0

//! Random operations of several processes on all nodes, each compared with a model of driver and kernel.
//!
//! A seed determines a sequence of about 200 operations. It is generated with the help of the model, which knows what
//! there is that an operation could be done on, and predicts every result, so that the kernel has no say in what is
//! tried. If something differs, operations are left out as long as it still does, and what is left is printed.

mod actor;
mod address;
mod file;
mod generate;
mod layout;
mod machine;
mod narrow;
mod operation;
mod plan;
mod run;
mod shrink;
mod tally;
mod window;
mod world;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{bail, Context, Result};
use map_protocol::{Fuzz, FUZZ};

use self::{
    operation::Operation,
    run::{Failure, Runner, Source},
    tally::Tally,
};
use crate::host::Host;

crate::tests! {
    random_operations_do_what_the_model_says,
}

/// How long a sequence is shrunk.
const SHRINKING: Duration = Duration::from_secs(240);

fn random_operations_do_what_the_model_says(host: &mut Host) -> Result<()> {
    let fuzz = match std::env::var(FUZZ) {
        Ok(text) => serde_json::from_str(&text).with_context(|| format!("{FUZZ} is {text:?}"))?,
        Err(_) => Fuzz::default(),
    };
    let mut runner = Runner::new(host)?;
    if let Some(keep) = &fuzz.keep {
        return replay(&mut runner, fuzz.seed, keep);
    }
    let began = Instant::now();
    let mut tally = Tally::default();
    for seed in generate::seeds(fuzz.seed, fuzz.operations, fuzz.seconds) {
        let over = fuzz.seconds.is_some_and(|seconds| began.elapsed() >= Duration::from_secs(seconds));
        if tally.operations >= fuzz.operations || over {
            break;
        }
        // If the kernel dies of it, its log has the seed.
        fs::write("/dev/kmsg", format!("<6>map-suite: random_operations_do_what_the_model_says, seed {seed}\n"))?;
        match runner.run(&Source::Seed(seed))? {
            Ok(ran) => tally.add(&ran),
            Err(failure) => {
                let text = explain(&mut runner, seed, &failure)?;
                bail!("{text}\nbefore it: {} operations as the model says", tally.operations);
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    runner.note(format!("{}from seed {} on, {took:.0} s; {}\n", tally.table(), fuzz.seed, lockdep()?))?;
    tally.check()
}

/// What lockdep has of its room for stack traces, of which it never gives any back.
pub fn lockdep() -> Result<String> {
    let text = fs::read_to_string("/proc/lockdep_stats").unwrap_or_default();
    let line = text.lines().find(|line| line.contains("stack-trace entries")).unwrap_or_default();
    Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Runs some operations of a seed.
fn replay(runner: &mut Runner<'_>, seed: u64, keep: &[usize]) -> Result<()> {
    // The whole sequence, to have its operations; whether it fails or not.
    let all = operations(runner, seed)?;
    let some: Vec<_> = all.into_iter().filter(|(number, _)| keep.contains(number)).collect();
    runner.reset();
    match runner.run(&Source::Some(seed, &some))? {
        Ok(_) => runner.note(format!("the {} operations do what the model says", some.len())),
        Err(failure) => bail!("{}\n{}", failure.text, listed(&some)),
    }
}

/// The operations of a seed, with their numbers.
fn operations(runner: &Runner<'_>, seed: u64) -> Result<Vec<(usize, Operation)>> {
    let mut world = runner.world(seed);
    let steps = generate::sequence(seed, &mut world);
    Ok(steps.into_iter().map(|step| (step.number, step.operation)).collect())
}

/// Shrinks a sequence that fails, and explains it.
fn explain(runner: &mut Runner<'_>, seed: u64, failure: &Failure) -> Result<String> {
    let mut all = operations(runner, seed)?;
    if let Some(last) = failure.step {
        // With those that were done at the same time.
        let round = all[last].1.round;
        all.retain(|(_, operation)| operation.round <= round);
    }
    let deadline = Instant::now() + SHRINKING;
    let (mut tries, mut broken) = (0, None);
    let mut last = None;
    let fails = |some: &[(usize, Operation)]| {
        tries += 1;
        // After a failure, the driver is loaded anew; after a success, nothing is left.
        match runner.run(&Source::Some(seed, some)) {
            Ok(Ok(_)) => false,
            Ok(Err(found)) => {
                last = Some(found.text);
                true
            }
            Err(error) => {
                broken = Some(error);
                runner.reset();
                false
            }
        }
    };
    let some = shrink::shrink(&all, fails, || Instant::now() < deadline);
    let broken = broken.map_or_else(String::new, |error| format!("\nSome tries did not come to their end: {error:#}"));
    let numbers: Vec<_> = some.iter().map(|(number, _)| number.to_string()).collect();
    Ok(format!(
        "seed {seed}: {}\nof {} operations these {} are left after {tries} tries, and they give: {}\n{}\
         map-qemu test --arch x86_64 --kernel 7.3 --flavour debug --suite model --seed {seed} --keep {}{broken}",
        failure.text,
        all.len(),
        some.len(),
        last.unwrap_or_else(|| "nothing when they were tried again".into()),
        listed(&some),
        numbers.join(",")
    ))
}

fn listed(operations: &[(usize, Operation)]) -> String {
    let layout = |(number, operation): &(usize, Operation)| {
        let Operation { round, actor, thread, narrow, kind } = operation;
        let narrow = if *narrow { " of 32 bits" } else { "" };
        format!("  {number:>4} round {round} process {actor} thread {thread}{narrow}: {kind:?}\n")
    };
    operations.iter().map(layout).collect()
}
