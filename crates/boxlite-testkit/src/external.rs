//! Debian's docker-registry.
