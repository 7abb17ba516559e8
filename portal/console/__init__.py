"""The live console: one hub per web process, one WebSocket per reader, rows as the truth.

A line is rendered by templates/requests/_event.html, on the page and for sockets alike.
"""
