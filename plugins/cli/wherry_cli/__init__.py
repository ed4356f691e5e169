"""The `wherry` command: Docker's verbs against any engine that speaks Docker's API."""
