//! Identifies a build of the program by the digest of the file that has its code.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use xxhash_rust::xxh3::Xxh3;

/// The digests of the files read so far: as many as programs and libraries in the process. The lock
/// belongs to the process, so models do not use it.
static FILES: LazyLock<Mutex<HashMap<PathBuf, u128>>> = LazyLock::new(Mutex::default);

/// A random number that identifies this process.
static PROCESS: LazyLock<u128> = LazyLock::new(|| {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_or_else(|_| fastrand::u128(..), |()| u128::from_le_bytes(bytes))
});

/// Identifies the build that the code at `address` belongs to; the same in all processes that run
/// it. Where it is unknown, as on every system but Linux, it identifies this process instead. Each
/// file is read once.
pub(super) fn of_code(address: usize) -> u128 {
    file_of_code(address).and_then(|path| digest(&path)).unwrap_or_else(|_| *PROCESS)
}

fn digest(path: &Path) -> io::Result<u128> {
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(&digest) = files.get(path) {
        return Ok(digest);
    }
    let (mut file, mut digest) = (File::open(path)?, Xxh3::new());
    let mut bytes = vec![0; 1 << 16];
    loop {
        match file.read(&mut bytes) {
            Ok(0) => break,
            Ok(read) => digest.update(&bytes[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let digest = digest.digest128();
    files.insert(path.to_owned(), digest);
    Ok(digest)
}

/// The file mapped at `address`: the program, or a loaded library. A file that a deployment has put
/// in its place since is another build.
fn file_of_code(address: usize) -> io::Result<PathBuf> {
    const PROGRAM: &str = "/proc/self/exe";
    let maps = fs::read_to_string("/proc/self/maps")?;
    let mapped = maps.lines().find_map(|line| path_at(line, address));
    let mapped = mapped.ok_or(io::ErrorKind::NotFound)?;
    if fs::read_link(PROGRAM)? == Path::new(mapped) {
        // Opens the running program even if its path now leads to another file.
        return Ok(PROGRAM.into());
    }
    if mapped.ends_with(" (deleted)") || !mapped.starts_with('/') {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(mapped.into())
}

/// The path in a line of `/proc/self/maps` if `address` is in its range.
fn path_at(line: &str, address: usize) -> Option<&str> {
    let (range, rest) = line.split_once(' ')?;
    let (from, to) = range.split_once('-')?;
    let [from, to] = [from, to].map(|bound| usize::from_str_radix(bound, 16));
    if !(from.ok()?..to.ok()?).contains(&address) {
        return None;
    }
    // Permissions, offset, device and inode come before it.
    let mut path = rest;
    for _ in 0..4 {
        path = path.trim_start().split_once(' ')?.1;
    }
    Some(path.trim_start())
}

#[cfg(test)]
mod tests {
    use super::{of_code, path_at};

    #[test]
    fn a_build_is_known_by_the_file_that_holds_the_code() {
        let address = of_code as fn(usize) -> u128 as usize;
        let build = of_code(address);
        assert_eq!(of_code(address), build);
        if cfg!(target_os = "linux") {
            let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
            assert_eq!(build, xxhash_rust::xxh3::xxh3_128(&program));
        }
        // There is no code at this address, so it is a number of the process.
        assert_ne!(of_code(1), build);
        assert_eq!(of_code(1), of_code(1));
    }

    #[test]
    fn the_path_of_a_mapping_may_have_spaces() {
        let line = "5640f000-56410000 r-xp 0002c000 fd:01 1055   /srv/my app (deleted)";
        assert_eq!(path_at(line, 0x5640_f000), Some("/srv/my app (deleted)"));
        assert_eq!(path_at(line, 0x5641_0000), None);
        assert_eq!(path_at("5640f000-56410000 rw-p 00000000 00:00 0 ", 0x5640_f000), Some(""));
    }
}
