//! What the daemon is really asked to do: routes, canonical URI, Go-exact body, host mounts.
