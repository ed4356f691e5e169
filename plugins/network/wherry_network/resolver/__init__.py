"""The resolver of user-defined networks: a service in the engine's process, and the process that answers."""
