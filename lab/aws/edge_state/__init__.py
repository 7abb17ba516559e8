"""What the edge must know, as one versioned JSON document: `/_lab/state`.

`document` assembles it; the other modules read moto's objects into plain values and never change
them. Callers hold the lab's lock. What the edge does with the document is up to `lab.edge`.
"""
