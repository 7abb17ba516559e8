"""The table of app kinds against real servers."""
