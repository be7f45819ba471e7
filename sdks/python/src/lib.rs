//! The native module of the Python package: the library's handles, and operations on them, for the Python sources beside it.
//!
//! Everything that a Python programmer sees (names, exceptions, asyncio and blocking classes) is written in Python over
//! this. Each call here returns an [`operation::Operation`], which is awaited or waited for by the thread that began it.
//!
//! Invariants. No thread of the library ever touches Python: it neither takes the interpreter's lock nor calls a function,
//! so no interpreter that exits, no loop that is closed and no callback that raises can hurt it. What belongs to another
//! process (a fork) is neither used nor dropped.

mod bound;
mod boxes;
mod convert;
mod execution;
mod exit;
mod failure;
mod images;
mod notifier;
mod operation;
mod options;
mod runtime;
mod streams;
mod task;

use pyo3::prelude::*;

/// The native module; see `_native.pyi`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("VERSION", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<operation::Operation>()?;
    module.add_class::<notifier::Notifier>()?;
    module.add_class::<failure::Failure>()?;
    module.add_class::<runtime::Runtime>()?;
    module.add_class::<images::Images>()?;
    module.add_class::<boxes::Box>()?;
    module.add_class::<execution::Execution>()?;
    module.add_class::<streams::Output>()?;
    module.add_class::<streams::Stdin>()?;
    module.add_class::<streams::Events>()?;
    module.add_class::<streams::Logs>()?;
    module.add_class::<streams::Archive>()?;
    module.add_function(wrap_pyfunction!(exit::leave, module)?)
}
