"""The client of Docker's API: `hosts` says where an engine listens, `http` talks to it with the standard library alone."""
