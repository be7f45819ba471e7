//! boxlite-rootfs
