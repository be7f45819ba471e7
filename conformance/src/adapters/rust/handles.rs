//! The table from the driver's names to objects. An entry stays when its object is dead: using it then is what is tested.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use boxlite::{BoxHandle, EventStream, Images, LogStream, Runtime};

use super::executions::Command;
use crate::adapters::serve::{Fault, Request};

/// A handle that was made.
#[derive(Clone)]
pub enum Handle {
    Runtime(Runtime),
    /// The image handle, and the address of the object it is a clone of.
    Images(Images, usize),
    Box(BoxHandle),
    Execution(Arc<Command>),
    Events(Arc<tokio::sync::Mutex<EventStream>>),
    Logs(Arc<tokio::sync::Mutex<LogStream>>),
}

/// All of them, by name.
#[derive(Default)]
pub struct Handles(Mutex<HashMap<String, Handle>>);

impl Handles {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a request made, under the name the request gives it.
    pub fn keep(&self, request: &Request, handle: Handle) -> Result<(), Fault> {
        let name = request.made.clone().ok_or_else(|| Fault::Adapter("`as` is missing".into()))?;
        // What had the name before is dropped outside of the lock: that may take its time.
        let before = self.lock().insert(name, handle);
        drop(before);
        Ok(())
    }

    /// Finds a handle by its name.
    pub fn find(&self, name: Option<&str>) -> Result<Handle, Fault> {
        let name = name.ok_or_else(|| Fault::Adapter("`on` is missing".into()))?;
        let found = self.lock().get(name).cloned();
        found.ok_or_else(|| Fault::Adapter(format!("there is no handle `{name}`")))
    }

    /// Takes a handle out: its last reference goes with what this returns.
    pub fn take(&self, name: Option<&str>) -> Option<Handle> {
        self.lock().remove(name?)
    }

    pub fn runtime(&self, request: &Request) -> Result<Runtime, Fault> {
        match self.find(request.on.as_deref())? {
            Handle::Runtime(runtime) => Ok(runtime),
            _ => Err(wrong(request, "runtime")),
        }
    }

    pub fn images(&self, request: &Request) -> Result<Images, Fault> {
        match self.find(request.on.as_deref())? {
            Handle::Images(images, _) => Ok(images),
            _ => Err(wrong(request, "image handle")),
        }
    }

    pub fn made(&self, request: &Request) -> Result<BoxHandle, Fault> {
        match self.find(request.on.as_deref())? {
            Handle::Box(made) => Ok(made),
            _ => Err(wrong(request, "box")),
        }
    }

    pub fn execution(&self, request: &Request) -> Result<Arc<Command>, Fault> {
        match self.find(request.on.as_deref())? {
            Handle::Execution(command) => Ok(command),
            _ => Err(wrong(request, "execution")),
        }
    }
}

fn wrong(request: &Request, kind: &str) -> Fault {
    Fault::Adapter(format!("`{}` is no {kind}", request.on.as_deref().unwrap_or_default()))
}
