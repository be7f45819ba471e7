//! boxlite-image
