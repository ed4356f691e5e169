"""From the flags of run and create to the body that the API takes, one module per theme."""
