//! Programs that must not outlive us, however we end.
//!
//! A child runs under `xtask supervise`, in a process group of its own; the supervisor's standard input is a pipe that we
//! hold. When we end, in whatever way (also `kill -9`), the pipe closes, and the supervisor ends the child with SIGTERM
//! (the emulator saves its state on that) and, should it not go, its whole group with SIGKILL.
use crate::fault::{Fault, OrFault as _, Result};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// How long a child may take to end.
const PATIENCE: Duration = Duration::from_secs(15);

/// A child under supervision; it ends when this is dropped.
pub(crate) struct Supervised {
    name: &'static str,
    supervisor: Child,
}

impl Supervised {
    /// Starts a program whose output goes to `log`. Its environment is `command`'s.
    pub(crate) fn start(name: &'static str, command: &Command, log: &Path) -> Result<Self> {
        let output = File::create(log).or_fault(|| format!("{} cannot be written", log.display()))?;
        let errors = output.try_clone().or_fault(|| format!("{} cannot be written", log.display()))?;
        let mut supervisor = supervisor(command)?;
        let given = command.get_envs().filter_map(|(variable, value)| value.map(|value| (variable, value)));
        supervisor.env_clear().envs(given).stdout(output).stderr(errors);
        Self::spawn(name, supervisor)
    }

    /// Starts a program that writes where we write, in our environment with that of `command` on top.
    pub(crate) fn start_in_sight(name: &'static str, command: &Command) -> Result<Self> {
        let mut supervisor = supervisor(command)?;
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => supervisor.env(variable, value),
                None => supervisor.env_remove(variable),
            };
        }
        Self::spawn(name, supervisor)
    }

    fn spawn(name: &'static str, mut supervisor: Command) -> Result<Self> {
        let supervisor = supervisor.spawn().or_fault(|| format!("{name} cannot be started"))?;
        Ok(Self { name, supervisor })
    }

    /// A fault when it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.supervisor.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(Fault::new(format!("{} has ended unexpectedly", self.name))),
        }
    }
}

/// The command that runs `command` under supervision, in its folder.
fn supervisor(command: &Command) -> Result<Command> {
    let mut supervisor = Command::new(ourselves()?);
    supervisor.arg("supervise").arg("--").arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        supervisor.current_dir(folder);
    }
    supervisor.stdin(Stdio::piped()).process_group(0);
    Ok(supervisor)
}

/// Our own program, also after a build has replaced its file (Linux keeps the running one reachable).
pub(crate) fn ourselves() -> Result<PathBuf> {
    let running = PathBuf::from("/proc/self/exe");
    if running.exists() {
        return Ok(running);
    }
    std::env::current_exe().or_fault(|| "our own program is not to be found".to_owned())
}

impl Drop for Supervised {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let _ended = self.supervisor.wait();
    }
}

/// The supervisor's own work: runs the program until it ends or standard input does.
pub(crate) fn supervise(program: &Path, arguments: &[String]) -> Result<ExitCode> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn().or_fault(|| format!("{} cannot be started", program.display()))?;
    let group = Pid::from_child(&child);
    spawn(move || {
        // Nothing is ever sent: this returns when the other end is closed.
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        let _already_gone = kill_process(group, Signal::TERM);
        sleep(PATIENCE);
        let _already_gone = kill_process_group(group, Signal::KILL);
    });
    let status = child.wait().or_fault(|| format!("{} is lost", program.display()))?;
    // What it started and left behind goes with it.
    let _none_left = kill_process_group(group, Signal::KILL);
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
