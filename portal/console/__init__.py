"""The live console: one hub per web process, one WebSocket per reader, rows as the truth."""
