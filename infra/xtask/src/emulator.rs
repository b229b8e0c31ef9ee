//! Starts the local AWS: one process, on the loopback only, its state kept in the world's folder.
use crate::aws::{Aws, REGION};
use crate::fault::{Fault, Result};
use crate::place::{Place, Port, env};
use crate::stop::Stop;
use crate::supervise::Supervised;
use std::path::Path;
use std::process::Command;

/// Half a minute; it takes one or two seconds.
const STEPS: u32 = 600;

/// Starts it and waits until it answers.
pub(crate) fn start(place: &Place, program: &Path, stop: &Stop) -> Result<Supervised> {
    let log = place.file("emulator.log");
    let mut command = Command::new(program);
    // Functions inherit this environment, so it holds nothing but what is said here.
    let path = env("PATH").unwrap_or_else(|| "/usr/bin:/bin".to_owned());
    command.env("PATH", path).env("HOME", place.folder("emulator/home")?).env("LANG", "C.UTF-8");
    // Without these it listens on every interface and opens further ports.
    command.env("BIND_HOST", "127.0.0.1").env("IOT_MTLS_ENABLED", "0").env("SFTP_ENABLED", "0");
    command.env("GATEWAY_PORT", place.port(Port::Aws).to_string()).env("MINISTACK_REGION", REGION);
    command.env("PERSIST_STATE", "1").env("STATE_DIR", place.folder("emulator/state")?);
    command.env("S3_PERSIST", "1").env("S3_DATA_DIR", place.folder("emulator/s3")?);
    command.env("TMPDIR", place.folder("emulator/tmp")?).env("AWS_DEFAULT_REGION", REGION);
    let mut emulator = Supervised::start("the local AWS", &command, &log)?;
    let aws = Aws::at(&place.origin(Port::Aws));
    let answered = stop.poll(STEPS, || {
        emulator.check().map_err(|_| Fault::new(format!("the local AWS does not start; see {}", log.display())))?;
        Ok(aws.alive().then_some(()))
    })?;
    answered.ok_or_else(|| Fault::new(format!("the local AWS does not answer; see {}", log.display())))?;
    Ok(emulator)
}
