//! A function's zip: the program as `bootstrap`. The same program makes the same bytes.
use crate::fault::{OrFault as _, Result};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::{Cursor, Write as _};
use std::path::Path;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A zip ready for upload.
pub(crate) struct Package {
    pub(crate) function: &'static str,
    /// `<function>-<hash>.zip`
    pub(crate) key: String,
    pub(crate) bytes: Vec<u8>,
}

/// Packs the program of a function. Stored, not deflated: it travels over the loopback only.
pub(crate) fn package(function: &'static str, programs: &Path) -> Result<Package> {
    let path = programs.join(function);
    let program = fs::read(&path).or_fault(|| format!("{} is missing", path.display()))?;
    let bytes = pack(&program).or_fault(|| format!("{function} cannot be packed"))?;
    let hash = hex::encode(Sha256::digest(&bytes));
    Ok(Package { function, key: format!("{function}-{}.zip", &hash[..16]), bytes })
}

fn pack(program: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::with_capacity(program.len() + 1024)));
    // The default time stamp is a constant, so nothing of today gets in.
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(program)?;
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_makes_the_same_zip() {
        assert_eq!(pack(b"program").unwrap(), pack(b"program").unwrap());
        assert_ne!(pack(b"program").unwrap(), pack(b"another").unwrap());
    }
}
