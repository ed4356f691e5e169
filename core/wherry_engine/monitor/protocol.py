"""What engine, supervisor and monitor must agree on."""

# Of all messages but `hello` and `upgrade`, which any engine must be able to send to any of these processes.
VERSION = 1
# By this word the supervisor asks whether its monitor is alive, and the monitor answers.
BEAT = "beat"
# Of what one of them writes down for the code that goes on with it.
FORMAT = 1
SUPERVISOR_TITLE, MONITOR_TITLE = (
    "wherry-superv",
    "wherry-monitor",
)  # by which each is known to the host, and to an engine
