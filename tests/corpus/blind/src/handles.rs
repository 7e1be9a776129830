//! Planted defects in file descriptors and threads.

use std::fs::File;
use std::hint::black_box;
use std::io::{pipe, Read, Write};
use std::mem;
use std::os::fd::{BorrowedFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use pyo3::prelude::*;

/// The file goes out as a bare number, and nobody closes it.
#[pyfunction]
fn file_size(path: PathBuf) -> PyResult<u64> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    black_box(file.into_raw_fd());
    Ok(size)
}

/// One end of the pair is closed, the other is not.
#[pyfunction]
fn ping_pair() -> PyResult<u8> {
    let (mut left, mut right) = UnixStream::pair()?;
    left.write_all(&[42])?;
    let mut answer = [0_u8; 1];
    right.read_exact(&mut answer)?;
    black_box(right.into_raw_fd());
    Ok(answer[0])
}

/// Both ends of the pipe stay open.
#[pyfunction]
fn echo_through_pipe(text: &str) -> PyResult<String> {
    let (mut reader, mut writer) = pipe()?;
    writer.write_all(text.as_bytes())?;
    let mut answer = vec![0; text.len()];
    reader.read_exact(&mut answer)?;
    black_box((reader.into_raw_fd(), writer.into_raw_fd()));
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A duplicate, made so that Rust may own it, and then not owned by anybody.
#[pyfunction]
fn size_of_open_file(fd: RawFd) -> PyResult<u64> {
    // SAFETY: the caller keeps `fd` open during the call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let file = File::from(borrowed.try_clone_to_owned()?);
    let size = file.metadata()?.len();
    black_box(file.into_raw_fd());
    Ok(size)
}

static POLLS: AtomicU64 = AtomicU64::new(0);

/// Every third poll keeps its file open.
#[pyfunction]
fn poll_source(path: PathBuf) -> PyResult<u64> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if POLLS.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
        black_box(file.into_raw_fd());
    }
    Ok(size)
}

/// A watcher waits for messages that cannot come, since its sender is forgotten.
#[pyfunction]
fn start_watcher() -> PyResult<()> {
    let (sender, receiver) = mpsc::channel::<u64>();
    let (ready, started) = mpsc::sync_channel::<()>(1);
    thread::Builder::new()
        .name("blind-watcher".into())
        .stack_size(64 * 1024)
        .spawn(move || {
            let _ = ready.send(());
            while let Ok(message) = receiver.recv() {
                black_box(message);
            }
        })?;
    let _ = started.recv();
    mem::forget(sender);
    Ok(())
}

pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(file_size, module)?)?;
    module.add_function(wrap_pyfunction!(ping_pair, module)?)?;
    module.add_function(wrap_pyfunction!(echo_through_pipe, module)?)?;
    module.add_function(wrap_pyfunction!(size_of_open_file, module)?)?;
    module.add_function(wrap_pyfunction!(poll_source, module)?)?;
    module.add_function(wrap_pyfunction!(start_watcher, module)?)
}
