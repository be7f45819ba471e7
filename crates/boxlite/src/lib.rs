//! boxlite
