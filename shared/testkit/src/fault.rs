//! Crashes and lost answers at a chosen call, counted over everything that leaves the process.
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What happens at a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process dies before the call takes effect.
    CrashBefore,
    /// The call takes effect, then the process dies.
    CrashAfter,
    /// The call takes no effect and fails.
    Fail,
    /// The call takes effect, but its answer is lost.
    LoseAnswer,
}

/// Counts outgoing calls and strikes at chosen ones. Shared by the table, the queue and the providers of one world.
///
/// A crash is a state: from then on every call of the process fails until [`Faults::restart`], and what the dead
/// process would have done after it never happens.
#[derive(Debug, Default)]
pub struct Faults {
    calls: AtomicU64,
    crashed: AtomicBool,
    plan: Mutex<Vec<(u64, Fault)>>,
}

/// What the caller must do about one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do it and answer.
    Go,
    /// Do not do it; answer with an error.
    Refuse,
    /// Do it, and answer with an error all the same.
    DoAndLose,
}

impl Faults {
    /// Strikes at the n-th call from the start of the world (1 is the first).
    pub fn at(&self, call: u64, fault: Fault) {
        self.plan.lock().expect("not poisoned").push((call, fault));
    }
    /// Strikes `ahead` calls from now (1 is the next).
    pub fn ahead(&self, ahead: u64, fault: Fault) {
        self.at(self.calls() + ahead, fault);
    }
    /// How many calls were made.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }
    /// Whether the process is dead.
    pub fn crashed(&self) -> bool {
        self.crashed.load(Ordering::SeqCst)
    }
    /// A new process takes over.
    pub fn restart(&self) {
        self.crashed.store(false, Ordering::SeqCst);
    }
    /// No more strikes.
    pub fn clear(&self) {
        self.plan.lock().expect("not poisoned").clear();
        self.restart();
    }

    /// Counts one call and says what becomes of it.
    pub fn strike(&self) -> Verdict {
        if self.crashed() {
            return Verdict::Refuse;
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let plan = self.plan.lock().expect("not poisoned");
        let fault = plan.iter().find(|(at, _)| *at == call).map(|(_, fault)| *fault);
        match fault {
            None => Verdict::Go,
            Some(Fault::Fail) => Verdict::Refuse,
            Some(Fault::LoseAnswer) => Verdict::DoAndLose,
            Some(Fault::CrashBefore) => {
                self.crashed.store(true, Ordering::SeqCst);
                Verdict::Refuse
            }
            Some(Fault::CrashAfter) => {
                self.crashed.store(true, Ordering::SeqCst);
                Verdict::DoAndLose
            }
        }
    }
}
