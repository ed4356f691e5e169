"""What engine, supervisor and monitor must agree on."""

VERSION = 1  # of the messages, `hello` and `upgrade` excepted: any engine must be able to ask any process for these
FORMAT = (
    1  # of what a process writes down for the code that goes on with it: other code that knows this one can take over
)
