"""Privacy audits: the questions, the signed document, and the rows.

`rules` and `signing` are pure. Whether somebody may ask for an audit is the portal's to decide.
"""
