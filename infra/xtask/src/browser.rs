//! The page in a real browser, against a world of its own.
use crate::build::{target, without_us};
use crate::clients::{all_passed, free};
use crate::fault::{Fault, OrFault as _, Result};
use crate::place::{Place, Port, env, root};
use crate::simulators;
use crate::stop::Stop;
use crate::supervise::{Supervised, ourselves};
use crate::tools::node_modules;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

/// Five minutes; the first world builds the functions and installs the local AWS.
const STEPS: u32 = 6_000;

/// What Chromium's program is called, the commonest first.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// `cargo xtask browser`.
pub(crate) fn alone() -> Result<ExitCode> {
    check(&Stop::on_signals()?).map(|()| ExitCode::SUCCESS)
}

/// The story of tests/browser. Its pictures are left in target/test/browser/pictures.
pub(crate) fn check(stop: &Stop) -> Result<()> {
    let chromium = chromium(stop)?;
    let mut place = free()?;
    if simulators::origin(&place, "google").is_none() {
        return Err(Fault::new("a TANDEM_GOOGLE_*_URL is set; the browser is only let loose on the simulator"));
    }
    place.dir = target(&place).join("test/browser");
    let suite = node_modules(&place.folder("suite")?, &root().join("tests/browser"), stop)?;
    let pictures = place.folder("pictures")?;
    let world = start(&place, stop)?;
    let mut story = Command::new("node");
    story.arg(suite.join("run.mjs")).arg(place.file("ready.json")).arg(chromium).arg(pictures);
    let output = story.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.or_fault(|| "node does not start".to_owned())?;
    drop(world);
    let said = String::from_utf8_lossy(&output.stdout);
    eprint!("{said}");
    if output.status.success() && all_passed(&said) {
        return Ok(());
    }
    Err(Fault::new(format!("the page is not as it should be; see above, and {}", place.file("pictures").display())))
}

/// A world that is ready; it ends when this is dropped.
fn start(place: &Place, stop: &Stop) -> Result<Supervised> {
    let ready = place.file("ready.json");
    match fs::remove_file(&ready) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Fault::new(format!("{} cannot be removed: {error}", ready.display())));
        }
        Ok(()) | Err(_) => {}
    }
    let mut up = without_us(Command::new(ourselves()?));
    up.args(["up", "--seed", "empty", "--fresh", "--port-base"]).arg(place.port(Port::Web).to_string());
    up.arg("--dir").arg(&place.dir).arg("--tools").arg(target(place).join("tools"));
    let mut world = Supervised::start_in_sight("the world of the browser", &up)?;
    let begun = stop.poll(STEPS, || {
        world.check()?;
        Ok(ready.exists().then_some(()))
    })?;
    begun.ok_or_else(|| Fault::new("the world of the browser is not ready after five minutes"))?;
    Ok(world)
}

/// Chromium's program, installed where it is missing and may be.
fn chromium(stop: &Stop) -> Result<PathBuf> {
    if let Some(given) = env("TANDEM_CHROMIUM") {
        return Ok(PathBuf::from(given));
    }
    if let Some(found) = installed() {
        return Ok(found);
    }
    let missing =
        "Chromium is missing: install it (on Debian: apt-get install chromium), or name its program in TANDEM_CHROMIUM";
    let apt = Command::new("apt-get").arg("--version").output().is_ok();
    if !(apt && rustix::process::geteuid().is_root()) {
        return Err(Fault::new(missing));
    }
    eprintln!("-- installing Chromium (once)");
    for arguments in [&["update", "--quiet"][..], &["install", "--quiet", "--yes", "chromium"]] {
        let mut apt = Command::new("apt-get");
        if !stop.run(apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))?.success() {
            return Err(Fault::new(missing));
        }
    }
    installed().ok_or_else(|| Fault::new(missing))
}

fn installed() -> Option<PathBuf> {
    let path = env("PATH")?;
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_is_pinned_and_has_its_program() {
        let folder = root().join("tests/browser");
        for name in ["package.json", "package-lock.json", "run.mjs"] {
            assert!(folder.join(name).is_file(), "{name}");
        }
        let pins = fs::read_to_string(folder.join("package-lock.json")).unwrap();
        assert!(pins.contains("playwright-core") && pins.contains("sha512-"));
    }
}
