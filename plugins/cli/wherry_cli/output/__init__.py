"""How answers are shown: units, columns, JSON and templates. Nothing here knows a command or an engine."""
