"""The pages. A view parses, calls one action and renders; it decides nothing that another entrance would decide too."""
