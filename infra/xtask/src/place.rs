//! Where everything of one running world is: its folder and its ports.
use crate::PlaceOptions;
use crate::fault::{Fault, OrFault as _, Result};
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// A world's folder and ports.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) dir: PathBuf,
    base: u16,
}

/// The ports, counted from the base.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Port {
    /// The API and the page.
    Web = 0,
    /// Google's simulator.
    Google = 1,
    /// Dropbox's.
    Dropbox = 2,
    /// Teamleader's.
    Teamleader = 3,
    /// Zoho's.
    Zoho = 4,
    /// Zendesk Sell's.
    Sell = 5,
    /// The local AWS: 4566 with the usual base.
    Aws = 6,
    /// The functions under `cargo xtask watch`.
    Watch = 8,
}

impl Place {
    pub(crate) fn new(options: &PlaceOptions) -> Result<Self> {
        if options.port_base > u16::MAX - 20 || options.port_base == 0 {
            return Err(Fault::new("--port-base must lie between 1 and 65515"));
        }
        let root = root();
        let dir = std::path::absolute(&options.dir).or_fault(|| "--dir is not a path".to_owned())?;
        Ok(Self { root, dir, base: options.port_base })
    }

    pub(crate) fn port(&self, port: Port) -> u16 {
        self.base + port as u16
    }

    pub(crate) fn origin(&self, port: Port) -> String {
        format!("http://127.0.0.1:{}", self.port(port))
    }

    /// A folder of this world, made where it is missing.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.join(name);
        fs::create_dir_all(&folder).or_fault(|| format!("{} cannot be made", folder.display()))?;
        Ok(folder)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Says which port is taken before anything is started.
    pub(crate) fn check_free(&self, port: Port) -> Result<()> {
        let number = self.port(port);
        match TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
            Ok(_) => Ok(()),
            Err(_) => Err(Fault::new(format!(
                "port {number} is taken; stop what uses it, or choose other ports with --port-base"
            ))),
        }
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("this crate is two folders below the root").to_owned()
}

/// Replaces a file in one step, so that a reader sees the old or the new one.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let written = fs::write(&draft, text).and_then(|()| fs::rename(&draft, path));
    written.or_fault(|| format!("{} cannot be written", path.display()))
}

/// An environment variable; empty counts as absent.
#[expect(clippy::disallowed_methods, reason = "a command-line tool reads its own environment here, and only here")]
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
