"""Privacy audits: the questions, the signed document, and the rows.

`rules` and `signing` are pure. Who may request an audit is the portal's decision.
"""
