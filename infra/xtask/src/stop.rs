//! Ctrl-C and SIGTERM: noticed everywhere we wait, so that what we started is always ended in order.
use crate::fault::{Fault, OrFault as _, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// How often a wait looks around.
const STEP: Duration = Duration::from_millis(50);

/// Whether we were asked to stop.
#[derive(Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// From now on signals ask instead of kill.
    pub(crate) fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let flag = Arc::clone(&stop.0);
            signal_hook::flag::register(signal, flag).or_fault(|| "signals cannot be handled".to_owned())?;
        }
        Ok(stop)
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Ends a task that was asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.asked() { Err(Fault::new("stopped")) } else { Ok(()) }
    }

    /// Asks again and again until there is an answer; `None` after `steps` of 50 ms.
    pub(crate) fn poll<T>(&self, steps: u32, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<Option<T>> {
        for _ in 0..steps {
            self.check()?;
            if let Some(answer) = ask()? {
                return Ok(Some(answer));
            }
            sleep(STEP);
        }
        Ok(None)
    }

    /// Runs a program to its end; its output goes to our standard error, so that standard output stays ours.
    pub(crate) fn run(&self, command: &mut Command) -> Result<ExitStatus> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        let mut child = command.spawn().or_fault(|| format!("{name} is missing or cannot be started"))?;
        loop {
            if let Some(status) = child.try_wait().or_fault(|| format!("{name} is lost"))? {
                return Ok(status);
            }
            if self.asked() {
                // Whether it had just ended by itself does not matter.
                let _gone = child.kill();
                let _reaped = child.wait();
                return Err(Fault::new("stopped"));
            }
            sleep(STEP);
        }
    }
}
