"""What engine, supervisor and monitor must agree on."""

VERSION = 1  # told in every hello; an engine that finds another one will have to replace these processes in place
