//! Tells the sources which PyO3 they are compiled against.
//!
//! PyO3 offers no cfg for its own version, and one source has to compile from 0.23 to the newest.
//! Cargo writes `Cargo.lock` before it runs build scripts, so the lock names the resolved version.

use std::{env, fs, path::Path};

/// The minor versions that the sources ask for, as `cfg(pyo3_0_26)`: "0.26 or newer".
const MINORS: &[u32] = &[26];

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    // A workspace keeps its lock further up.
    let lock = Path::new(&root)
        .ancestors()
        .map(|folder| folder.join("Cargo.lock"))
        .find(|file| file.is_file())
        .expect("no Cargo.lock in this folder or above it");
    println!("cargo::rerun-if-changed={}", lock.display());
    let text = fs::read_to_string(&lock).expect("Cargo.lock is readable");
    let version = pyo3_version(&text).expect("Cargo.lock names no package pyo3");
    let minor: u32 = version
        .split('.')
        .nth(1)
        .and_then(|part| part.parse().ok())
        .expect("a version of PyO3 has a minor number");

    println!("cargo::rustc-env=LEAKGRID_PROBE_PYO3_VERSION={version}");
    for wanted in MINORS {
        println!("cargo::rustc-check-cfg=cfg(pyo3_0_{wanted})");
        if minor >= *wanted {
            println!("cargo::rustc-cfg=pyo3_0_{wanted}");
        }
    }
}

fn pyo3_version(lock: &str) -> Option<&str> {
    let mut lines = lock.lines();
    lines.find(|line| line.trim() == "name = \"pyo3\"")?;
    lines
        .next()?
        .trim()
        .strip_prefix("version = \"")?
        .strip_suffix('"')
}
