"""CloudFront, as far as the portal uses it: the API, its rules, and what time does to its entities.

Layers, each importing only those below it: `service`, `operations`, `rules`, `context`, `entities`,
`protocol`. Nothing here serves a viewer (that is `lab.edge`), and nothing here imports faults.
"""
