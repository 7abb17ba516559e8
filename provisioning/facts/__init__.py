"""What AWS says and the rules that AWS documents, as frozen values and functions (PURE).

Nothing here decides what should change.
"""
