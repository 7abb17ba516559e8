"""The live console: one hub per web process, one WebSocket per reader, rows as the truth.

A line is written by portal/requests/event_line.py, on the page and for sockets alike.
"""
