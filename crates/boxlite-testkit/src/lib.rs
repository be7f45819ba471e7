//! boxlite-testkit
