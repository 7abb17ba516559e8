"""Changes to an account that can be undone: how each is made, and how it is taken back.

An undo restores only what its step changed, and only what has not been changed since.
"""
