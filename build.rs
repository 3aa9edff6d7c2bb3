//! How a release for Linux is linked: what its start and a request run lies together, in the
//! order of `layout.txt`. The system maps a program in pieces of 64 KiB around what runs; strewn
//! over all of it, that is three times as much memory.

use std::{env, error::Error, fmt::Write as _, fs, path::PathBuf, process::Command};

const LAYOUT: &str = "layout.txt";

/// Set to leave all that to the linker, as for one that knows no linker scripts.
const PLAIN: &str = "KUBEGATE_PLAIN_LINK";

/// From here on the loader reads packed relocations.
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={LAYOUT}");
    println!("cargo:rerun-if-env-changed={PLAIN}");
    let is = |name, value: &str| env::var(name).is_ok_and(|found| found == value);
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") || is_plain() {
        return Ok(());
    }
    let script = PathBuf::from(env::var("OUT_DIR")?).join("layout.ld");
    fs::write(&script, linker_script(&fs::read_to_string(LAYOUT)?)?)?;
    // Not by -Wl, which would take a comma in the folder's name for the end of the argument.
    println!("cargo:rustc-link-arg-bins=-T{}", script.display());
    if is("CARGO_CFG_TARGET_ENV", "gnu") && is_native() && glibc() >= Some(PACKED_SINCE) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
    Ok(())
}

/// Whether the linker is one that would not understand, or is called without a compiler.
fn is_plain() -> bool {
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let linker = PathBuf::from(env::var_os("RUSTC_LINKER").unwrap_or_default());
    let name = linker.file_name().unwrap_or_default().to_string_lossy();
    env::var_os(PLAIN).is_some()
        || ["mold", "gold", "wild"].iter().any(|it| flags.contains(it))
        || flags.contains("linker=")
        || name.contains("ld")
}

/// Whether what is built will be run by this system's loader.
fn is_native() -> bool {
    env::var("HOST").ok() == env::var("TARGET").ok()
}

/// The version of this system's glibc.
fn glibc() -> Option<(u32, u32)> {
    let answer = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let answer = String::from_utf8(answer.ok()?.stdout).ok()?;
    let (major, minor) = answer.trim().strip_prefix("glibc ")?.split_once('.')?;
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Adds a section before the rest of the code; what is not there is passed over.
fn linker_script(layout: &str) -> Result<String, std::fmt::Error> {
    let mut script = String::from("SECTIONS {\n  .text.start : {\n");
    for name in layout.lines().filter(|line| !line.starts_with('#')) {
        if name.contains(':') {
            writeln!(script, "    {name}(.text)")?;
        } else {
            // The compiler sets apart what it takes for seldom run, the start included, and
            // by a profile what it knows to run often.
            writeln!(
                script,
                "    *(.text.{name} .text.unlikely.{name} .text.hot.{name})"
            )?;
        }
    }
    script.push_str("  }\n}\nINSERT BEFORE .text;\n");
    Ok(script)
}
