"""One module per command or small family of commands, imported when it runs; wherry_cli.table names them all."""
